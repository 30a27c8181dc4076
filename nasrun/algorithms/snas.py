"""SNAS: one relaxed architecture per batch, weights and logits learnt together."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nasrun.algorithms.mixture import Mixture
from nasrun.nets.estimators import draw, uniforms


@dataclass
class SNAS(Mixture):
    """Concrete samples of the architecture; one loss on training images for everything.

    Xie et al., "SNAS: Stochastic Neural Architecture Search" (ICLR 2019), with the settings of the
    authors' SNAS-Series: one sample per batch, temperature 1 to 0.03, drop-path 0.3, a penalty on
    the logarithm of the resources. The logits learn from the gradient of the training loss that
    the weights learn from.

    Departures: the resources are the weights of the options drawn, in numbers, normalised by the
    largest architecture (the authors add parameters, FLOPs and memory access of their own space);
    the logits' optimiser is Adam, as in the authors' distributed script; their gradient is not
    clipped (the authors': at a norm of 10); drop-path leaves out an operation for an image, and no
    skip-connection (the authors': the whole of an edge, skip-connections included).
    """

    name: str = "snas"
    nesterov: bool = False
    temperature: float = 1.0
    final_temperature: float = 0.03
    drop_path: float = 0.3
    resource_weight: float = 1e-2
    initial_mean: float = 1.0
    initial_std: float = 0.01

    def prepare(self) -> None:
        """Draw the logits around ``initial_mean``, and count the weights of the options."""
        super().prepare()
        with torch.no_grad():
            self.logits += self.initial_mean
        self.network.drop_path = self.drop_path
        sizes = [row.to(self.logits.device) for row in self.network.sizes()]
        largest = torch.stack([row.max() for row in sizes]).sum()
        self._sizes = [row / largest for row in sizes]

    def update(self, x: Tensor, y: Tensor) -> None:
        """Weights and logits, by one loss."""
        rows = self._sample()
        loss = self.loss(x, y, rows)
        if not self.learns_logits:
            self.weight_step(loss)
            return
        penalised = loss + self.resource_weight * self._resources(rows)
        gradient = torch.autograd.grad(penalised, self.logits, retain_graph=True)
        self.weight_step(loss)
        self.arch_move(gradient)

    def _sample(self) -> list[Tensor]:
        """One relaxed architecture."""
        rows = self.by_row(self.logits)
        noise = uniforms([len(row) for row in rows], 1, self.noise, self.processor.processor)
        done = self.epoch / max(self.planned_steps - 1, 1)
        temperature = self.temperature + (self.final_temperature - self.temperature) * done
        return [row[0] for row in draw(rows, noise, temperature).soft]

    def _resources(self, rows: list[Tensor]) -> Tensor:
        """Logarithm of the share of the largest architecture's weights."""
        used = torch.stack(
            [(row * size).sum() for row, size in zip(rows, self._sizes, strict=True)]
        )
        return torch.log(used.sum() + 1e-3)
