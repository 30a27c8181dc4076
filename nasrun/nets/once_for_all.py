"""A once-for-all network: every depth, kernel, width and resolution of the MobileNetV3 space."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from nasrun.nets.elastic import ElasticBlock, calibrate
from nasrun.nets.inverted_residual import Network, resized
from nasrun.nets.mobilenet_v3 import STAGES, Body
from nasrun.nets.proxyless_supernet import untracked
from nasrun.nets.supernet import Row, SharedNet, add, mixed
from nasrun.spec import Archs, Objective
from nasrun.streams import Floats


class OnceForAll(SharedNet):
    """Cai et al., "Once-for-All" (ICLR 2020), section 3.3: subnetworks are parts of the largest.

    The rows of mixing weights are the space's decisions. A stage's output is the mixture of what
    leaves it after each of its depths. With rows by image a layer is computed for all images if
    any of them is as deep, so that its normalisation sees them all.

    Args:
        rows: names of the decisions' options.
        body: the largest network.
        choices: depths, kernels, expansions and resolutions, in rising order; none of the last:
            images are taken as they are.
        mend: gives layers that do not exist the option 0.
        objective: what the network is trained for.
    """

    def __init__(
        self,
        rows: tuple[tuple[str, ...], ...],
        body: Body,
        choices: tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]],
        mend: Callable[[Archs], Archs],
        objective: Objective,
    ) -> None:
        super().__init__()
        self.rows = rows
        self._depths, self._kernels, expansions, self._resolutions = choices
        self._by_depth = {depth: option for option, depth in enumerate(self._depths)}
        self._mend = mend
        self.body = Network([body.first], body.ends, objective)
        untracked(self.body)
        self.layers = nn.ModuleList(
            ElasticBlock(layer, self._kernels, expansions)
            for stage in body.stages
            for layer in stage
        )

    def derive(self, scores: Sequence[Floats]) -> Archs:
        """``(L,)`` the best option of each decision, 0 where a layer does not exist."""
        return self._mend(super().derive(scores)[None])[0]

    def logits(self, x: Tensor, rows: Sequence[Row]) -> Tensor:
        """``(B, classes)`` logits of ``x (B, C, H, W)``."""
        if not self._resolutions:
            return self._at(None, rows, x)
        *others, resolution = rows
        paths = {
            option: partial(self._at, self._resolutions[option], [r.of(images) for r in others])
            for option, images in resolution.live.items()
        }
        total = mixed(x, resolution, paths)
        assert total is not None
        return total

    def _at(self, px: int | None, rows: Sequence[Row], x: Tensor) -> Tensor:
        x = self.body.opened(resized(x, px))
        layers = len(self.layers)
        kernels, expansions = rows[STAGES : STAGES + layers], rows[STAGES + layers :]
        for stage, depth in enumerate(rows[:STAGES]):
            left, total = max(depth.live), None
            first = stage * self._depths[-1]
            for place in range(first, first + self._depths[left]):
                x = self.layers[place](x, kernels[place], expansions[place])
                option = self._by_depth.get(place - first + 1)
                if option is not None and option in depth.live:
                    total = add(total, depth.everywhere(option, x))
            assert total is not None
            x = total
        return self.body.judged(x)

    def sizes(self) -> list[Tensor]:
        """``(options,)`` weights of each option, the other decisions being at their largest.

        A resolution, which has none, counts as its pixels.
        """
        blocks = [layer for layer in self.layers if isinstance(layer, ElasticBlock)]
        widths = range(len(blocks[0].shapes))
        weights = [
            [[_numbers(block.part(k, e)) for e in widths] for k in self._kernels]
            for block in blocks
        ]
        most, last = self._depths[-1], -1
        largest = [block[last][last] for block in weights]
        stages = [largest[at : at + most] for at in range(0, len(largest), most)]
        rows = [[float(sum(stage[:depth])) for depth in self._depths] for stage in stages]
        rows += [[kernel[last] for kernel in block] for block in weights]
        rows += [block[last] for block in weights]
        rows += [[float(px * px) for px in self._resolutions]] if self._resolutions else []
        return [torch.tensor(row) for row in rows]

    def hand_on(
        self,
        network: Network,
        arch: Archs,
        batches: Iterable[Tensor],
        classes: Sequence[int] | None = None,
    ) -> None:
        """Give ``network``, built for ``arch (L,)``, this network's weights.

        Args:
            network: as the space has built it at the same scale.
            arch: its architecture.
            batches: images ``(B, 3, H, W)``, from which its normalisation takes statistics.
            classes: which of this network's classes those of ``network`` are, in their order; None:
                the same ones. None of them: its classifier keeps the weights that it has.
        """
        state = {
            name: weight
            for name, weight in self.body.state_dict().items()
            if not name.startswith("blocks.") or name.startswith("blocks.0.")
        }
        kept: tuple[str, ...] = ("running_mean", "running_var", "num_batches_tracked")
        head = ("classifier.weight", "classifier.bias")
        if classes:
            state |= {name: state[name][list(classes)] for name in head}
        elif classes is not None:
            state = {name: weight for name, weight in state.items() if name not in head}
            kept += head
        for place, (layer, kernel, expansion) in enumerate(self._chosen(arch), 1):
            part = layer.part(self._kernels[kernel], expansion)
            state |= {f"blocks.{place}.{name}": weight for name, weight in part.items()}
        missing, unexpected = network.load_state_dict(state, strict=False)
        if unexpected or any(not name.endswith(kept) for name in missing):
            raise ValueError(f"a network of another architecture or scale lacks {missing}")
        calibrate(network, batches)

    def _chosen(self, arch: Archs) -> Iterator[tuple[ElasticBlock, int, int]]:
        """Layers that ``arch (L,)`` has, with their options of kernel and expansion."""
        most, layers = self._depths[-1], len(self.layers)
        for place, layer in enumerate(self.layers):
            if place % most < self._depths[arch[place // most]] and isinstance(layer, ElasticBlock):
                yield layer, int(arch[STAGES + place]), int(arch[STAGES + layers + place])


def _numbers(weights: Mapping[str, Tensor]) -> float:
    return float(sum(weight.numel() for weight in weights.values()))
