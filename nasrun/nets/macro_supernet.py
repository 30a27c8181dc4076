"""A supernet of ENAS's macro space: all operations of all layers, and all skips between them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasrun.nets.macro import macro_operation, stem
from nasrun.nets.macro_plan import halvings
from nasrun.nets.operations import HalvedSkip
from nasrun.nets.supernet import Knobs, Row, SharedNet, add, mixed
from nasrun.spec import Objective

SKIPPED = 1  # the option of a skip's row that is no "none"


class SharedMacroLayer(nn.Module):
    """A layer's operations; from the second layer on what is skipped is added, and normalised."""

    def __init__(
        self, options: Sequence[str], channels: int, track: bool, joins: bool, knobs: Knobs
    ) -> None:
        super().__init__()
        self._knobs = knobs
        self.options = nn.ModuleList(
            macro_operation(name, channels, False, track) for name in options
        )
        norm = nn.BatchNorm2d(channels, affine=False, track_running_stats=track)
        self.norm = norm if joins else nn.Identity()

    def forward(self, states: Sequence[Tensor], rows: Sequence[Row]) -> Tensor:
        """``(B, C, H, W)`` of the states before, and the rows of operation and skips."""
        options = {
            at: lambda x, each=each: self._knobs.dropped(each(x))
            for at, each in enumerate(self.options)
        }
        total = mixed(states[-1], rows[0], options)
        for state, row in zip(states[:-1], rows[1:], strict=True):
            skipped = mixed(state, row, {SKIPPED: self._knobs.skipped})
            total = total if skipped is None else add(total, skipped)
        return self.norm(torch.zeros_like(states[-1]) if total is None else total)

    def sizes(self) -> Tensor:
        """``(options,)`` weights of each operation."""
        counts = [sum(w.numel() for w in each.parameters()) for each in self.options]
        return torch.tensor(counts, dtype=torch.float32)


class MacroSupernet(SharedNet):
    """ENAS's shared network; a row of mixing weights per decision.

    [EN] ``general_child.py``, ``_enas_layer``: a skip adds an earlier state to the operation's
    result; at each halving every state that is still read is halved, and channels stay.

    Args:
        rows: names of the options of each decision, layer by layer: operation, then skips.
        layers: how many there are.
        channels: of all layers.
        objective: what the network is trained for.
        track: whether normalisation keeps running statistics.
    """

    def __init__(
        self,
        rows: tuple[tuple[str, ...], ...],
        layers: int,
        channels: int,
        objective: Objective,
        track: bool,
    ) -> None:
        super().__init__()
        self.rows = rows
        self._halvings, knobs = halvings(layers), Knobs(self)
        self.stem = stem(channels)
        self.layers = nn.ModuleList(
            SharedMacroLayer(rows[0], channels, track, at > 0, knobs) for at in range(layers)
        )
        self.halved = nn.ModuleDict(
            {
                f"{source}_{after}": HalvedSkip(channels, channels, False, track)
                for after in self._halvings
                for source in range(after + 1)
            }
        )
        self.classifier = objective.head(channels)

    def logits(self, x: Tensor, rows: Sequence[Row]) -> Tensor:
        """``(B, classes)`` logits of ``x (B, 3, H, W)``."""
        states, place = [self.stem(x)], 0
        by_layer: list[Sequence[Row]] = []
        for at in range(len(self.layers)):
            by_layer.append(rows[place : place + 1 + at])
            place += 1 + at
        for after, (layer, own) in enumerate(zip(self.layers, by_layer, strict=True), 1):
            states.append(layer(states, own))
            if after in self._halvings:
                read = _read_later(by_layer, after)
                small = self.halved[f"{after}_{after}"](states[-1])
                states = [
                    self.halved[f"{source}_{after}"](state) if source in read else small
                    for source, state in enumerate(states[:-1])
                ]
                states.append(small)
        return self.classifier(states[-1])

    def sizes(self) -> list[Tensor]:
        """``(options,)`` weights of each option, by row; a skip has none of its own."""
        counts: list[Tensor] = []
        for at, layer in enumerate(self.layers):
            assert isinstance(layer, SharedMacroLayer)
            counts += [layer.sizes(), *[torch.zeros(2)] * at]
        return counts


def _read_later(by_layer: Sequence[Sequence[Row]], after: int) -> set[int]:
    """States, among the first, that a live skip of a later layer leads away from."""
    return {
        source
        for rows in by_layer[after:]
        for source, row in enumerate(rows[1:])
        if source <= after and SKIPPED in row.live
    }
