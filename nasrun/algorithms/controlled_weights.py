"""What ENAS does in every space: weights and a controller learn in turn."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nasrun.algorithms.one_shot import OneShot
from nasrun.nets.controller import Controller, Drawn, policy_of
from nasrun.ranges import require_at_least, require_positive
from nasrun.spec import Archs, Policy


@dataclass
class ControlledWeights(OneShot):
    """Weights learn on a controller's architectures, the controller on their accuracies.

    Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018), section
    2. Subclasses may make another controller (``made_controller``) and add to its loss
    (``penalty``). Defaults and departures are those of ``ENAS``.
    """

    updates: int = 50
    samples: int = 20
    hidden: int = 32
    controller_rate: float = 1e-3
    entropy: float = 1e-4
    baseline_decay: float = 0.99
    tanh_constant: float = 2.5
    temperature: float = 5.0
    candidates: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "updates", "samples", "hidden", "candidates")
        require_positive(self, "algorithm", "controller_rate")

    def prepare(self) -> None:
        """Make the controller."""
        with self.processor.seeded(int(self.draws.integers(2**48)[0, 0])):
            self.controller = self.made_controller()
        # Its steps are too small for a GPU to be faster.
        betas = (0.0, 0.999)
        parameters = self.controller.parameters()
        self.optimizer_c = torch.optim.Adam(parameters, self.controller_rate, betas, eps=1e-3)
        self.baseline = torch.full((), torch.nan)
        self.keep(controller=self.controller, optimizer_c=self.optimizer_c, baseline=self.baseline)

    def made_controller(self) -> nn.Module:
        """The policy over the decisions of the space, newly made."""
        arity = self.problem.space.arity.tolist()
        return Controller(arity, self.hidden, self.tanh_constant, self.temperature)

    def learning(self) -> Sequence[Tensor]:
        """Weights and the controller's."""
        return [*super().learning(), *self.controller.parameters()]

    def penalty(self, drawn: Drawn) -> Tensor:
        """What a policy's loss has besides the rewards."""
        return drawn.log_p.new_zeros(())

    def update(self, x: Tensor, y: Tensor) -> None:
        """Weights of an architecture that the controller draws."""
        self.weight_step(self.loss(x, y, self.single_path(self._drawn(1)[0])))

    def end_epoch(self) -> None:
        """Train the controller."""
        start = float(self.baseline)
        updates = max(1, round(self.updates * self._share))
        for _ in range(updates):
            drawn = self.controller(self.samples, self.noise, self.problem.space.legal)
            accuracy = torch.tensor([self._reward(arch) for arch in drawn.archs.numpy()])
            reward = accuracy + self.entropy * drawn.entropy.detach()
            if start != start:
                start = float(reward.mean())
            baseline = start - (1.0 - self.baseline_decay) * (start - float(reward.mean()))
            self.baseline.fill_(baseline)
            self.optimizer_c.zero_grad()
            loss = self.penalty(drawn) - (drawn.log_p * (reward - baseline)).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(self.controller.parameters(), 5.0)
            self.optimizer_c.step()

    def derive(self) -> Archs:
        """``(L,)`` the best of architectures that the controller draws."""
        return self.best_of(list(self._drawn(self.scale.candidates or self.candidates)))

    def policy(self) -> Policy:
        """How often the controller chooses each option."""
        return policy_of(self.controller, self.problem.space)

    def _drawn(self, count: int) -> Archs:
        with torch.no_grad():
            return self.controller(count, self.noise, self.problem.space.legal).archs.numpy()

    def _reward(self, arch: Archs) -> float:
        """Share of a validation batch that an architecture gets right."""
        return self.accuracy(arch, iter([self.valid_batch()])) / 100.0

    @property
    def _share(self) -> float:
        """Controller updates go down with the training images, where a scale reduces these."""
        full, used = self.problem.task.train_images, self.scale.train_images
        return 1.0 if used is None else min(1.0, used / full)
