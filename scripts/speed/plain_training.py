"""Training in the style of NAS-Bench-201's own code: what our trainer is compared with.

float32, channels first, every edge with its own ReLU, ``none`` as a multiplication by zero,
pictures cropped and mirrored one by one in the worker processes of a ``DataLoader``.
"""

import time
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from nasrun.images import Images
from nasrun.nets.device import Device
from nasrun.nets.nb201 import Cell, Skeleton, topology_stages
from nasrun.nets.recipe import Recipe
from nasrun.nets.vision import load_torchvision
from nasrun.spec import Edges, Scale, SummedObjective

Moments = tuple[Sequence[float], Sequence[float]]  # mean and deviation by channel, of 0 to 255

# Has every operation, so that none of them is left out of a comparison.
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
WORKERS = 2
PAD = 4  # pixels around a picture of 32; as many for its size in other pictures


class PlainCell(Cell):
    """Every edge is computed, by itself."""

    def __init__(self, edges: Edges, c_in: int, c_out: int) -> None:
        super().__init__(edges, c_in, c_out)
        self._edges = edges
        for start, end, name in edges:
            if name == "avg_pool_3x3":
                pool = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
                self.operations[f"{start}-{end}"] = pool

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H, W)`` of ``x (B, c_in, H, W)``."""
        nodes = {"0": x}
        for target in ("1", "2", "3"):
            terms = [
                nodes[start].mul(0.0) if name == "none" else
                self.operations[f"{start}-{end}"](nodes[start])
                for start, end, name in self._edges if end == target
            ]  # fmt: skip
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            nodes[target] = total
        return nodes["3"]


class Pictures(Dataset[tuple[Tensor, int]]):
    """Pictures that are normalised, and in training altered, one by one."""

    def __init__(self, images: Images, moments: Moments, *, alter: bool) -> None:
        load_torchvision()
        from torchvision import transforms

        px = images.pixels.shape[2]
        altered = [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(px, padding=PAD * px // 32),
        ]
        mean, std = ([value / 255 for value in moment] for moment in moments)
        self._pictures = [Image.fromarray(p) for p in images.pixels.transpose(0, 2, 3, 1)]
        self._labels = images.labels.tolist()
        self._transform = transforms.Compose(
            [
                *(altered if alter else ()),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._labels)

    def __getitem__(self, at: int) -> tuple[Tensor, int]:
        """A picture, altered, and its label."""
        picture: Any = self._transform(self._pictures[at])
        return picture, self._labels[at]


class PlainLoop:
    """A cell's network and the loop that trains it.

    Args:
        edges: of the cell.
        objective: what the network is trained for.
        images: to train on.
        moments: mean and deviation by channel.
        scale: of the network.
        recipe: batch size, rates, momentum, decay.
        device: where; its number format is not used.
    """

    def __init__(
        self,
        edges: Edges,
        objective: SummedObjective,
        images: Images,
        moments: Moments,
        scale: Scale,
        recipe: Recipe,
        device: Device,
    ) -> None:
        stages = topology_stages(scale.channels or 16, scale.cells or 5)
        network = Skeleton(lambda c_in, c_out: PlainCell(edges, c_in, c_out), stages, objective)
        self._network = network.to(device.processor)
        self._optimizer = torch.optim.SGD(
            network.parameters(), recipe.learning_rate, recipe.momentum, nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay, foreach=False,
        )  # fmt: skip
        self._recipe, self._moments, self._device = recipe, moments, device.processor
        self._objective = objective
        self._loader = DataLoader(
            Pictures(images, moments, alter=True), recipe.batch, shuffle=True, num_workers=WORKERS,
            persistent_workers=True, pin_memory=device.on_gpu,
        )  # fmt: skip

    def epoch(self) -> float:
        """Train for an epoch; its seconds."""
        self._network.train()
        began = time.perf_counter()
        for x, y in self._loader:
            x, y = x.to(self._device), y.to(self._device)
            self._optimizer.zero_grad()
            loss = self._objective.loss(self._network(x), y) / len(y)
            loss.backward()
            self._optimizer.step()
            loss.item()  # the reference logs it
        return time.perf_counter() - began

    def train(self, epochs: int) -> None:
        """Train by the recipe's learning rates."""
        for epoch in range(epochs):
            for group in self._optimizer.param_groups:
                group["lr"] = self._recipe.rate(epoch, epochs)
            self.epoch()

    def score(self, images: Images) -> float:
        """The objective's metric of the network."""
        loader = DataLoader(Pictures(images, self._moments, alter=False), self._recipe.batch)
        self._network.eval()
        with torch.no_grad():
            sums = sum(
                self._objective.sums(self._network(x.to(self._device)), y.to(self._device))
                for x, y in loader
            )
        return self._objective.score(torch.as_tensor(sums), len(images))
