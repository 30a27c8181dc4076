"""SemiNAS: NAO that also learns from architectures which it has labelled itself."""

from dataclasses import dataclass

from nasrun.predictors.nao import NAO
from nasrun.ranges import require_not_negative


@dataclass
class SemiNAS(NAO):
    """After its first epochs, NAO predicts figures of other architectures, and learns from both.

    Luo et al., "Semi-Supervised Neural Architecture Search" (NeurIPS 2020), section 3, with
    NASLib's settings: ``unlabelled_share`` times as many architectures as there are records, drawn
    as the space draws, once each beside ``repeats`` copies of the records. One round, as there.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "seminas"
    unlabelled_share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_not_negative(self, "predictor", "unlabelled_share")

    def unlabelled(self, records: int) -> int:
        """As the share says."""
        return round(self.unlabelled_share * records)
