"""A supernet of NAS-Bench-201: all operations of all edges, shared by all cells' strings."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.nb201 import Skeleton, topology_stages
from nasrun.nets.pooling import AveragePool
from nasrun.nets.supernet import NONE, Knobs, Row, SharedNet, add, scatter
from nasrun.spec import Objective

NODES = 4
KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
SKIP, POOL = "skip_connect", "avg_pool_3x3"
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))  # target, source of each row


def edge(target: int, source: int) -> int:
    """Row of an edge."""
    return target * (target - 1) // 2 + source


class Fan(nn.Module):
    """The convolutions of one kernel size on all edges that leave a node, each normalised.

    Their weights lie in one tensor, so that all of them are one convolution where all are needed;
    an edge alone is a slice of it. Mixing weights are the normalisation's scale, which costs no
    pass over the features. As in [A] the normalisation has no weights of its own in a search; a
    bias of the convolution would have no effect and is left out.
    """

    def __init__(self, width: int, edges: int, kernel: int, affine: bool, track: bool) -> None:
        super().__init__()
        self.width = width
        self.conv = nn.Conv2d(width, edges * width, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(edges * width, affine=affine, track_running_stats=track)

    def forward(self, x: Tensor, first: int, edges: int, weights: Tensor | None) -> Tensor:
        """``(B, edges * width, H, W)`` results of ``edges`` edges from ``first`` on.

        ``weights (edges,)`` scale them; None: they are not scaled.
        """
        part = slice(first * self.width, (first + edges) * self.width)
        norm = self.norm
        y = F.conv2d(x, self.conv.weight[part], padding=self.conv.padding)
        scale, shift = (None if p is None else p[part] for p in (norm.weight, norm.bias))
        if weights is not None:
            by_channel = weights.repeat_interleave(self.width)
            scale = by_channel if scale is None else scale * by_channel
            shift = None if shift is None else shift * by_channel
        mean, variance = norm.running_mean, norm.running_var
        return F.batch_norm(
            y,
            None if mean is None else mean[part],
            None if variance is None else variance[part],
            scale,
            shift,
            training=norm.training or mean is None,
            momentum=norm.momentum or 0.0,
            eps=norm.eps,
        )


class SharedCell(nn.Module):
    """All operations of a cell of ``channels``.

    Of the channels only one in ``share`` goes through the operations; the others bypass them with
    the weight of the whole row, and channels are shuffled after each node (Xu et al., "PC-DARTS",
    ICLR 2020, section 3.1).
    """

    def __init__(
        self, channels: int, options: Sequence[str], share: int, track: bool, knobs: Knobs
    ) -> None:
        super().__init__()
        self._share, self._knobs = share, knobs
        self._width = channels // share
        self._option = {name: number for number, name in enumerate(options)}
        self.fans = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    Fan(self._width, NODES - 1 - source, kernel, False, track)
                    for source in range(NODES - 1)
                )
                for name, kernel in KERNELS.items()
                if name in self._option
            }
        )
        self.pool = AveragePool()

    def forward(self, x: Tensor, rows: Sequence[Row]) -> Tensor:
        """``(B, channels, H, W)`` node 3 for node 0 ``x``."""
        mixed: list[Tensor | None] = [None] * NODES
        bypass: list[Tensor | None] = [None] * NODES
        node = x
        for source in range(NODES - 1):
            part = node[:, : self._width]
            leaving = {t: rows[edge(t, source)] for t in range(source + 1, NODES)}
            self._convolve(part, leaving, mixed)
            self._pass_on(part, leaving, mixed)
            if self._share > 1:
                rest = node[:, self._width :]
                for target, row in leaving.items():
                    bypass[target] = add(bypass[target], row.bypass(rest))
            node = self._node(mixed[source + 1], bypass[source + 1], part)
        return node

    def _node(self, mixed: Tensor | None, bypass: Tensor | None, like: Tensor) -> Tensor:
        whole = torch.zeros_like(like) if mixed is None else mixed
        if bypass is None:
            return whole
        joined = torch.cat([whole, bypass.to(whole.dtype)], dim=1)
        batch, channels, height, width = joined.shape
        groups = joined.view(batch, self._share, channels // self._share, height, width)
        return groups.transpose(1, 2).reshape(batch, channels, height, width)

    def _convolve(self, x: Tensor, leaving: dict[int, Row], mixed: list[Tensor | None]) -> None:
        """Add the convolutions on all ``leaving`` edges of a node to their targets."""
        source = min(leaving) - 1
        positive: Tensor | None = None
        for name, fans in self.fans.items():
            option = self._option[name]
            live = {t: row for t, row in leaving.items() if option in row.live}
            if not live:
                continue
            positive = F.relu(x) if positive is None else positive
            assert isinstance(fans, nn.ModuleList)
            fan = fans[source]
            assert isinstance(fan, Fan)
            shared = all(row.live[option] is None for row in live.values())
            if len(live) == len(leaving) and shared:
                self._together(fan, positive, live, option, mixed)
                continue
            for target, row in live.items():
                self._alone(fan, positive, target - source - 1, (target, row, option), mixed)

    def _together(
        self,
        fan: Fan,
        x: Tensor,
        live: dict[int, Row],
        option: int,
        mixed: list[Tensor | None],
    ) -> None:
        """One convolution for all edges of the node."""
        weights = torch.stack([row.weights[..., option] for row in live.values()], dim=-1)
        if weights.dim() == 1:
            y = fan(x, 0, len(live), weights).unflatten(1, (len(live), self._width))
        else:
            y = fan(x, 0, len(live), None).unflatten(1, (len(live), self._width))
            y = y * weights[:, :, None, None, None].to(y.dtype)
        for number, target in enumerate(live):
            mixed[target] = add(mixed[target], self._knobs.dropped(y[:, number]))

    def _alone(
        self,
        fan: Fan,
        x: Tensor,
        place: int,
        where: tuple[int, Row, int],
        mixed: list[Tensor | None],
    ) -> None:
        """The convolution of one edge, of the images that use it."""
        target, row, option = where
        images = row.live[option]
        if row.weights.dim() == 1:
            y = fan(x, place, 1, row.weights[option, None])
            mixed[target] = add(mixed[target], self._knobs.dropped(y))
            return
        y = row.scaled(option, fan(x if images is None else x[images], place, 1, None))
        if images is None:
            mixed[target] = add(mixed[target], self._knobs.dropped(y))
        else:
            mixed[target] = scatter(mixed[target], self._knobs.dropped(y), images, x)

    def _pass_on(self, x: Tensor, leaving: dict[int, Row], mixed: list[Tensor | None]) -> None:
        """Add pooling and skip-connections; a node is pooled once for all of its edges."""
        pool, skip = self._option.get(POOL), self._option.get(SKIP)
        pooled = self.pool(x) if any(pool in row.live for row in leaving.values()) else None
        for target, row in leaving.items():
            if pool is not None and pooled is not None and pool in row.live:
                term = self._knobs.dropped(row.everywhere(pool, pooled))
                mixed[target] = add(mixed[target], term)
            if skip is not None and skip in row.live:
                term = row.everywhere(skip, self._knobs.skipped(x))
                mixed[target] = add(mixed[target], term)

    def sizes(self) -> list[Tensor]:
        """``(options,)`` weights of each option, by row."""
        counts = torch.zeros(len(self._option))
        for name, kernel in KERNELS.items():
            if name in self._option:
                counts[self._option[name]] = kernel * kernel * self._width**2
        return [counts] * len(EDGES)


class NB201Supernet(SharedNet):
    """NAS-Bench-201's skeleton with shared cells; one row of mixing weights per edge.

    Every option keeps its place in the rows; ``none`` is never computed.
    """

    def __init__(
        self,
        options: Sequence[str],
        channels: int,
        cells: int,
        objective: Objective,
        share: int = 1,
        track: bool = True,
    ) -> None:
        super().__init__()
        self.rows = (tuple(options),) * len(EDGES)
        self.groups = tuple(
            tuple(edge(target, source) for source in range(target)) for target in range(1, NODES)
        )
        self._share = share
        knobs = Knobs(self)
        self.skeleton = Skeleton(
            lambda _, c_out: SharedCell(c_out, options, share, track, knobs),
            topology_stages(channels, cells),
            objective,
        )

    def logits(self, x: Tensor, rows: Sequence[Row]) -> Tensor:
        """``(B, classes)`` logits of ``x (B, C, H, W)``."""
        return self.skeleton(x, self._used(rows) if self._share == 1 else rows)

    def _used(self, rows: Sequence[Row]) -> list[Row]:
        """The rows, without what leads to a node that no one reads.

        A convolution of a node that is zero stays: by its running statistics it is not zero.
        """
        none = self.rows[0].index(NONE) if NONE in self.rows[0] else None
        used = {NODES - 1}
        for row, (target, source) in zip(reversed(rows), reversed(EDGES), strict=True):
            if target in used and row.live.keys() - {none}:
                used.add(source)
        return [
            row if target in used else Row(row.weights, {})
            for row, (target, _) in zip(rows, EDGES, strict=True)
        ]

    def sizes(self) -> list[Tensor]:
        """``(options,)`` weights of each option, by row, over all cells."""
        cells = [part for part in self.skeleton.cells if isinstance(part, SharedCell)]
        by_cell = [torch.stack(cell.sizes()) for cell in cells]
        return list(torch.stack(by_cell).sum(dim=0))
