"""NASNet's search: a recurrent controller that learns by proximal policy optimisation."""

from dataclasses import dataclass

from torch import Tensor

from nasrun.algorithms.controlled import Controlled, Policies
from nasrun.nets.controller import clipped_surrogate
from nasrun.ranges import require_at_least, require_not_negative, require_positive


@dataclass
class PPO(Controlled):
    """A controller of one layer, one softmax a decision, and the clipped surrogate of a batch.

    Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition" (CVPR 2018),
    section 2 and appendix A: the probability whose ratio is clipped is that of all decisions
    together, there is no critic, the reward is the validation accuracy, and its baseline a moving
    average. The surrogate is that of Schulman et al., "Proximal Policy Optimization Algorithms"
    (2017), eq. 7, the same as CATCH's.

    Departures: the paper does not say where the ratio is clipped nor how often a batch is learnt
    from (``clip`` and ``epochs``), and has many workers that ask at the same time. Rewards are
    taken in the unit of their metric, so that ``entropy`` weighs less beside percentages than
    beside the paper's fractions. See ``Controlled`` for what else is our choice.
    """

    name: str = "ppo"
    learning_rate: float = 3.5e-4
    entropy: float = 1e-5
    clip: float = 0.2
    epochs_a_batch: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_not_negative(self, "algorithm", "entropy")
        require_positive(self, "algorithm", "clip")
        require_at_least(self, "algorithm", 1, "epochs_a_batch")

    def improve(self, policies: Policies, archs: Tensor, advantage: Tensor, share: Tensor) -> None:
        """Some steps on the surrogate, whose ratios are to the policy before the first of them."""
        before: Tensor | None = None
        for _ in range(self.epochs_a_batch):
            log_p, entropy = policies.judge(archs)
            before = log_p.detach() if before is None else before
            gain = clipped_surrogate((log_p - before).exp(), advantage, self.clip)
            gain = ((gain + self.entropy * entropy) * share).sum(dim=1)
            policies.step_on(-gain, share.any(dim=1))
