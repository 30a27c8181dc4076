"""ENAS in its macro space: a controller with attention decides on operations and skips."""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from nasrun.algorithms.controlled_weights import ControlledWeights
from nasrun.errors import UnsupportedError
from nasrun.nets.anchor_controller import AnchorController, AnchorsDrawn
from nasrun.nets.controller import Drawn
from nasrun.ranges import require_not_negative, require_within


@dataclass
class ENASMacroSearch(ControlledWeights):
    """Weights learn on the controller's architectures, the controller on their accuracies.

    Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018), sections
    2.3 and 3.2, with the settings of the authors' code ([EN] ``cifar10_macro_search.sh``): the
    learning rate falls along cosines that begin anew, each twice as long as the one before; the
    controller's loss has the distance of the skips from their prior, times ``skip_weight``.

    Departures: the policy's entropy is the whole distribution's (the authors': that of what was
    drawn); gradients of the shared weights are clipped by their common norm (the authors': each
    tensor by its own), and the controller's are clipped, too; the baseline moves from its value at
    the epoch's start, as in ``ENAS``, and so by a hundredth of the way in an epoch (the authors':
    with each of an epoch's 1,000 architectures, from 0 on); and those of ``space=enas_macro`` and
    of ``ENAS``, but for the controller's first weights, which are in ±0.1.

    Raises:
        ConfigError: ``skip_prior`` outside (0, 1), or a negative ``skip_weight``; see ENAS for the
            others.
    """

    name: str = "enas_macro"
    epochs: int = 310
    batch: int = 128
    learning_rate: float = 0.05
    final_rate: float = 5e-4
    weight_decay: float = 2.5e-4
    half_period: int | None = 10
    hidden: int = 64
    tanh_constant: float = 1.5
    temperature: float = 1.0
    skip_prior: float = 0.4
    skip_weight: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within(self, "algorithm", "(0, 1)", "skip_prior")
        require_not_negative(self, "algorithm", "skip_weight")

    def made_controller(self) -> nn.Module:
        """The policy with attention over earlier layers.

        Raises:
            UnsupportedError: another space.
        """
        space = self.problem.space
        layers, operations = _layers(space.arity.tolist())
        if not layers:
            raise UnsupportedError(
                f"algorithm={self.name} has a controller of macro networks, got "
                f"space={space.name}: set space=enas_macro, or algorithm=enas"
            )
        return AnchorController(
            layers,
            operations,
            self.hidden,
            self.tanh_constant,
            self.temperature,
            self.skip_prior,
        )

    def penalty(self, drawn: Drawn) -> Tensor:
        """The skips' distance from their prior."""
        assert isinstance(drawn, AnchorsDrawn)
        return self.skip_weight * drawn.skip_kl.mean()

    def cosine(self, first: float, last: float, half_period: int | None = None) -> float:
        """A rate that falls over ``half_period`` epochs, then over twice as many, and so on."""
        begun, length = 0, half_period or self.planned_steps
        while self.progress >= begun + length:
            begun, length = begun + length, 2 * length
        done = (self.progress - begun) / length
        return last + (first - last) * (1.0 + math.cos(math.pi * done)) / 2.0


def _layers(arity: list[int]) -> tuple[int, int]:
    """Layers and operations of a macro network: an operation, then a skip from each layer before.

    No layers, if these are the options of something else.
    """
    layers = (math.isqrt(1 + 8 * len(arity)) - 1) // 2
    macro = [options for layer in range(layers) for options in (arity[0], *[2] * layer)]
    return (layers, arity[0]) if arity == macro else (0, 0)
