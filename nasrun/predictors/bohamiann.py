"""BOHAMIANN: a perceptron whose weights are drawn by Hamiltonian Monte Carlo."""

from dataclasses import dataclass, field

from torch import Tensor

from nasrun.nets.cohort import CohortMLP
from nasrun.predictors.base import Encoded, Targets, scaled
from nasrun.predictors.sampled_networks import SampledNetwork, SampledNetworks
from nasrun.spec import Floats, Inputs, Mask, Prediction, SearchSpace, Streams


@dataclass
class BOHAMIANN(SampledNetwork):
    """Two layers of 50 tanh and the noise of the figures, all of them drawn from their posterior.

    Springenberg, Klein, Falkner and Hutter, "Bayesian Optimization with Robust Bayesian Neural
    Networks" (NeurIPS 2016), section 3, drawn as in ``sghmc.py``; rate, friction and the first
    noise are pybnn's, the lengths NASLib's (``predictors/bnn``): a burn-in of 10 steps, then 18
    draws with five steps between them. naszilla has a burn-in of 1,000 and 180 draws, 50 apart.

    Departures: pybnn divides its priors' logarithms by the number of weights, and holds the noise
    at 1e-6; here priors are those of ``SampledNetwork``. Gradients are of all records
    (``batch``: of so many), since a search has few. Targets are z-scores.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "bohamiann"
    encodings: list[str] = field(default_factory=lambda: ["adjacency", "onehot"])
    targets: Targets = Targets.zscore

    @property
    def has_members(self) -> bool:
        """The draws."""
        return True

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Perceptrons":
        """A chain a trial."""
        return Perceptrons(self, Encoded(space, self.encodings), streams)


class Perceptrons(SampledNetworks):
    """Perceptrons of one output."""

    def __init__(self, settings: BOHAMIANN, encode: Encoded, streams: Streams) -> None:
        super().__init__(settings, 1, streams)
        self._encode, self._targets = encode, settings.targets

    def read(self, net: CohortMLP, x: Tensor) -> Tensor:
        """The output itself."""
        return net(x)[..., 0]

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Draw new networks."""
        goal, self._scale = scaled(y, mask, self._targets)
        self.sample(self._encode(inputs), goal, mask)

    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation over the draws."""
        return self.prediction(self._encode(inputs), self._scale)
