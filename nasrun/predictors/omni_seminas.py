"""OMNI on SemiNAS: what is measured of an architecture beside the embedding of its text."""

from dataclasses import dataclass

from nasrun.benchmarks.scores import ScoreTable
from nasrun.predictors.measured_parts import MeasuredParts, OfMeasured
from nasrun.predictors.nao import Translators
from nasrun.predictors.seminas import SemiNAS
from nasrun.spec import Floats, Inputs, Mask, SearchSpace, Streams


@dataclass
class OMNISemiNAS(OfMeasured, SemiNAS):
    """SemiNAS whose perceptron reads the loss of the last epoch and zero-cost scores, too.

    White, Zela, Ru, Liu and Hutter, "How Powerful are Performance Predictors in Neural Architecture
    Search?" (NeurIPS 2021), section 4, with the parts that NASLib's ``omni_seminas.py`` has: minus
    the training loss of the last epoch (SoTL-E), and the Jacobian covariance (``score_columns`` of
    the table ``scores``). Without a table there is the loss alone.

    Departures: NASLib writes both into the text, as symbols for the bins that they exceed, which
    the decoder learns to write as well; here they are z-scores beside the embedding, by mean and
    deviation of the records that are learnt from. NASLib does without other architectures, and with
    them without its second pass, as soon as there are curves, which they have not; here they are
    labelled and learnt from with the records' mean as what is measured of them (a z-score of 0),
    and so without their scores. ``unlabelled_share=0`` has none.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "omni_seminas"

    def opened(
        self, space: SearchSpace, streams: Streams, truth: object = None
    ) -> "MeasuredTranslators":
        """A network a trial."""
        return MeasuredTranslators(self, space, streams, self.table(space, self.score_columns))


class MeasuredTranslators(Translators):
    """Networks of a cohort that read z-scores of what is measured."""

    def __init__(
        self,
        settings: OMNISemiNAS,
        space: SearchSpace,
        streams: Streams,
        table: ScoreTable | None,
    ) -> None:
        super().__init__(settings, space, streams)
        self._measured = MeasuredParts(settings.name, table)

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Standardise by what is known, and train new networks."""
        self._measured.learn(inputs, mask)
        super().fit(inputs, y, mask)

    def _beside(self, inputs: Inputs) -> Floats:
        """The z-scores."""
        return self._measured(inputs)
