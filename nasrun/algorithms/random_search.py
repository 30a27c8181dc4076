"""Random search."""

from dataclasses import dataclass

from nasrun.algorithms.base import SampleBased
from nasrun.spec import Archs, Measured


@dataclass
class RandomSearch(SampleBased):
    """Uniform random architectures, repeats allowed.

    Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search" (UAI
    2019), as the NAS-Bench-201 baseline runs it: [A] ``exps/NAS-Bench-201-algos/RANDOM.py``.
    """

    name: str = "random"

    def ask(self) -> Archs:
        """``(T, L)`` uniform architectures."""
        return self.problem.space.sample(self.streams)

    def tell(self, measured: Measured) -> None:
        """Nothing to learn."""
