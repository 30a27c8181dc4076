"""An architecture that somebody names, as a row beside searches."""

from dataclasses import dataclass

from nasrun.algorithms.base import SampleBased
from nasrun.errors import ConfigError
from nasrun.spec import Archs, Measured, Phase, Problem, Streams


@dataclass
class Given(SampleBased):
    """One architecture, measured and scored as a search's would be: a baseline without a search.

    ResNet-50 beside what was found in CATCH's Tables 2 to 4 (Chen et al., ECCV 2020), or what was
    found on another task.
    """

    name: str = "given"
    arch: str | None = None

    @property
    def planned_steps(self) -> int:
        """One."""
        return 1

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Read the architecture.

        Raises:
            ConfigError: none is given, or none of the space; the message shows the place.
        """
        super().start(problem, streams, phase)
        if self.arch is None:
            example = problem.space.text(problem.space.sample(streams)[0])
            raise ConfigError(
                f"algorithm={self.name} needs algorithm.arch, an architecture of "
                f"space={problem.space.name} such as {example}, got none"
            )
        self._archs = problem.space.parse(self.arch)[None].repeat(problem.trials, axis=0)

    def ask(self) -> Archs:
        """``(T, L)`` the architecture."""
        return self._archs

    def tell(self, measured: Measured) -> None:
        """Nothing to learn."""
