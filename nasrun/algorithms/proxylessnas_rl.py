"""ProxylessNAS by REINFORCE: logits learn from the rewards of paths that they draw."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.gated import Gated
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Floats


@dataclass
class ProxylessRL(Gated):
    """Logits follow the score of architectures, rewarded by accuracy and measured latency.

    Cai et al., "ProxylessNAS" (ICLR 2019), section 3.3.2: ``samples`` architectures of an update
    are drawn from the softmax of the logits, with no recurrent controller, and judged on one
    validation batch. The reward is the run's own: that of its hardware, where one is set; the
    paper's ``accuracy (latency / target)^w`` has ``hardware.exponent=-0.1`` in the authors' code.
    The baseline is moved to the mean reward by ``baseline_rate`` before it is subtracted.

    Departures: an update comes every ``arch_every`` steps, as often as the authors' 300 an epoch of
    ImageNet; a path of unknown latency teaches nothing, and one that gets no image right counts as
    half an image, since a product with zero would not tell latencies apart; paths are judged by
    running statistics; the departures of ``Gated``.

    Raises:
        ConfigError: fewer than 1 sample, or ``baseline_rate`` outside (0, 1]; see Gated.
    """

    name: str = "proxylessnas_rl"
    samples: int = 10
    baseline_rate: float = 0.99
    arch_every: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "samples")
        require_within(self, "algorithm", "(0, 1]", "baseline_rate")

    @property
    def follows_rewards(self) -> bool:
        """They are what the logits learn from."""
        return True

    def prepare(self) -> None:
        """Draw the logits, and begin without a baseline.

        Raises:
            UnsupportedError: a space whose mixing rows are not its decisions.
        """
        super().prepare()
        self.require_rows_of_decisions("draws architectures decision by decision")
        self.baseline = torch.full((), torch.nan, dtype=torch.float64)
        self.keep(baseline=self.baseline)

    def learn(self) -> None:
        """Move the logits along the score of the drawn paths, by their advantages."""
        drawn = [self.gates(None).active for _ in range(self.samples)]
        rewards = self.rewards(drawn)
        known = ~np.isnan(rewards)
        if not known.any():
            return
        drawn, rewards = [drawn[at] for at in np.flatnonzero(known)], rewards[known]
        baseline, mean = float(self.baseline), float(rewards.mean())
        baseline = mean if baseline != baseline else baseline
        baseline += self.baseline_rate * (mean - baseline)
        self.baseline.fill_(baseline)
        loss = self.logits.new_zeros(())
        for path, advantage in zip(drawn, (rewards - baseline).tolist(), strict=True):
            loss = loss - advantage * self._log_p(path) / len(drawn)
        self.arch_step(loss)

    def rewards(self, drawn: list[list[Tensor]]) -> Floats:
        """``(samples,)`` in shares of one: of accuracies on one validation batch."""
        batch = self.valid_batch()
        archs = np.array([[int(row.argmax()) for row in path] for path in drawn], np.int64)
        accuracy = np.array([self.accuracy(arch, iter([batch])) for arch in archs])
        accuracy = np.maximum(accuracy, 50.0 / len(batch[1]))
        return self.problem.reward(accuracy, self.problem.latency_ms(archs)) / 100.0

    def _log_p(self, path: list[Tensor]) -> Tensor:
        rows = self.by_row(self.logits)
        terms = [(one * row.log_softmax(-1)).sum() for one, row in zip(path, rows, strict=True)]
        return torch.stack(terms).sum()
