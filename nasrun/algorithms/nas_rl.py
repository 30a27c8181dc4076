"""Neural architecture search with reinforcement learning: the recurrent controller of 2017."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nasrun.algorithms.controlled import Controlled, Policies
from nasrun.ranges import require_positive
from nasrun.spec import Floats


@dataclass
class NASRL(Controlled):
    """REINFORCE on a controller of two layers, rewarded by a power of the accuracy.

    Zoph and Le, "Neural Architecture Search with Reinforcement Learning" (ICLR 2017), sections 3.2
    and 4.1: the reward is the cube of the accuracy, as a fraction, and its baseline a moving
    average of those before.

    Where decisions mean earlier layers, as in ``space=conv_chain``, they are taken by the attention
    of section 3.3 (anchor points); see ``Controller``.

    Departures: the decay of the baseline is not stated (``baseline_decay`` is NASNet's); the depth
    does not grow; one process asks, and learns from ``batch`` architectures at a time; the accuracy
    is the last epoch's (the paper's: the highest of the last five); on a text,
    where a reward is minus the perplexity, the policy maximises ``-(perplexity / 100)^power``, and
    not the 80 over the squared perplexity of section 4.2, so that bad cells weigh most. See
    ``Controlled`` for what else is our choice.
    """

    name: str = "nas_rl"
    hidden: int = 35
    layers: int = 2
    learning_rate: float = 6e-4
    batch: int = 1
    spread: float = 0.08
    power: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "algorithm", "power")

    def worth(self, reward: Floats) -> Floats:
        """The power of hundredths of a reward, with its sign."""
        return np.sign(reward) * np.abs(reward / 100.0) ** self.power

    def improve(self, policies: Policies, archs: Tensor, advantage: Tensor, share: Tensor) -> None:
        """One step along the policies' gradients (section 3.2)."""
        gain = (policies.judge(archs)[0] * advantage * share).sum(dim=1)
        policies.step_on(-gain, share.any(dim=1))
