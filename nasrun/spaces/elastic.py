"""Spaces of stages that differ in depth, and of layers that differ in kernel and expansion."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import product

import numpy as np

from nasrun.nets.mobilenet_v3 import STAGES
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.dags import line_graph
from nasrun.spaces.notation import Scanner
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Mask

ABSENT = "0"  # what stands for a layer that a network does not have


class ElasticSpace(ConditionalSpace):
    """What once-for-all networks decide on, and how that is written down and encoded.

    Decisions: the depths of five stages, the kernel of every layer, its expansion, and where there
    are ``resolutions`` the images' size. A layer beyond its stage's depth does not exist.

    A subclass has the lists of what may be chosen, each in rising order, as fields, and says what
    the networks are made of.
    """

    depths: list[int]
    kernels: list[int]
    expansions: list[int]
    resolutions: list[int]

    @property
    def most(self) -> int:
        """Layers that a stage has at most."""
        return self.depths[-1]

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Depths, kernels, expansions, and the resolution."""
        return self._decisions

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        layers = STAGES * self.most
        choices = [(STAGES, "d", self.depths), (layers, "k", self.kernels)]
        choices += [(layers, "e", self.expansions), (bool(self.resolutions), "r", self.resolutions)]
        rows = [(tuple(f"{letter}{v}" for v in values),) * n for n, letter, values in choices]
        return tuple(row for group in rows for row in group)

    def parts(self, archs: Archs) -> tuple[Archs, Archs, Archs, Archs]:
        """Options ``(n, 5)`` of depths, ``(n, layers)`` of kernels and expansions, ``(n, 1 or 0)``.

        The last is the resolution's.
        """
        layers = STAGES * self.most
        depths, kernels, expansions, resolution = np.split(
            archs, [STAGES, STAGES + layers, STAGES + 2 * layers], axis=1
        )
        return depths, kernels, expansions, resolution

    def present(self, archs: Archs) -> Mask:
        """``(n, layers)`` which layers a network has."""
        depths = np.array(self.depths)[archs[:, :STAGES]]
        return np.tile(np.arange(self.most), STAGES) < np.repeat(depths, self.most, axis=1)

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)`` all options, but only the first for a layer that does not exist."""
        n, place = prefix.shape
        legal, layers = np.ones((n, self._counts[place]), np.bool_), STAGES * self.most
        if STAGES <= place < STAGES + 2 * layers:
            stage, at = divmod((place - STAGES) % layers, self.most)
            legal[prefix[:, stage] < self._deep[at], 1:] = False
        return legal

    @cached_property
    def _counts(self) -> list[int]:
        return self.arity.tolist()

    @cached_property
    def _deep(self) -> list[int]:
        """The first option of a depth by which each layer of a stage exists."""
        return [bisect_right(self.depths, at) for at in range(self.most)]

    def mended(self, archs: Archs) -> Archs:
        """``(n, L)`` the same with the option 0 for layers that do not exist."""
        _, kernels, expansions, _ = self.parts(archs)
        there = self.present(archs)
        mended, layers = archs.copy(), there.shape[1]
        mended[:, STAGES : STAGES + layers] = kernels * there
        mended[:, STAGES + layers : STAGES + 2 * layers] = expansions * there
        return mended

    @property
    def networks(self) -> int:
        """How many different networks there are."""
        kinds = len(self.kernels) * len(self.expansions)
        stage = sum(kinds**depth for depth in self.depths)
        return stage**STAGES * max(1, len(self.resolutions))

    # Texts

    def text(self, arch: Archs) -> str:
        """Kernels, expansions, depths, resolution: ``7500...,3600...,22222,224``.

        The digits of HELP's table, with 0 for a layer that does not exist.
        """
        parts, present = self.parts(arch[None]), self.present(arch[None])[0]
        depths, kernels, expansions, resolution = (part[0] for part in parts)

        def digits(options: Ints, values: Sequence[int]) -> str:
            pairs = zip(options, present, strict=True)
            return "".join(str(values[option]) if there else ABSENT for option, there in pairs)

        fields = [digits(kernels, self.kernels), digits(expansions, self.expansions)]
        fields += ["".join(str(self.depths[option]) for option in depths)]
        fields += [str(self.resolutions[option]) for option in resolution]
        return ",".join(fields)

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of such a text.

        What stands for layers that do not exist is passed over, as HELP's table has it.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner = Scanner("a MobileNetV3", text)
        scanner.blanks()
        start, layers = scanner.place, STAGES * self.most
        kernels = [scanner.digit(10) for _ in range(layers)]
        scanner.exactly(",")
        expansions = [scanner.digit(10) for _ in range(layers)]
        scanner.exactly(",")
        found = [self._option(scanner, self.depths) for _ in range(STAGES)]
        present = self.present(np.array([found]))[0]
        for offset, digits, values in (
            (start, kernels, self.kernels),
            (start + layers + 1, expansions, self.expansions),
        ):
            for at, (digit, there) in enumerate(zip(digits, present, strict=True)):
                if there and digit not in values:
                    why = f"expected one of {', '.join(map(str, values))}"
                    raise scanner.bad(why, offset + at)
                found.append(values.index(digit) if there else 0)
        if self.resolutions:
            scanner.exactly(",")
            place = scanner.place
            pixels = scanner.number(self.resolutions[-1] + 1, "a resolution")
            if pixels not in self.resolutions:
                raise scanner.bad("expected one of space.resolutions", place)
            found.append(self.resolutions.index(pixels))
        scanner.end("text")
        return np.array(found, np.int64)

    def _option(self, scanner: Scanner, values: Sequence[int]) -> int:
        place, digit = scanner.place, scanner.digit(10)
        if digit not in values:
            raise scanner.bad(f"expected one of {', '.join(map(str, values))}", place)
        return values.index(digit)

    # Encodings

    @property
    def encodings(self) -> tuple[str, ...]:
        """Also ``layers`` and ``layers_by_area``: see ``encode``."""
        return (*super().encodings, "layers", "layers_by_area")

    @property
    def cost_encoding(self) -> str:
        """What a layer costs grows with the pixels that it works on."""
        return "layers_by_area"

    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """``(..., features)`` of a named encoding.

        ``layers`` has the kernel and expansion of each layer, one-hot, and zeros where there is no
        layer, as the authors' accuracy predictor reads them ([OFA] ``accuracy_predictor.py``), then
        the resolution, one-hot. ``layers_by_area`` has, in place of the latter, the same numbers
        times the area of the images, the area and the width, each as a share of the largest.
        """
        encoding = self.require_encoding(encoding)
        if encoding not in ("layers", "layers_by_area"):
            return super().encode(archs, encoding)
        flat = archs.reshape(-1, archs.shape[-1])
        _, kernels, expansions, resolution = self.parts(flat)
        present = self.present(flat)[..., None]
        layers = [
            np.eye(len(values))[options] * present
            for options, values in ((kernels, self.kernels), (expansions, self.expansions))
        ]
        widths = [part.shape[1] * part.shape[2] for part in layers]
        flattened = [p.reshape(len(flat), width) for p, width in zip(layers, widths, strict=True)]
        features = np.concatenate(flattened, axis=1)
        if self.resolutions and encoding == "layers":
            onehot = np.eye(len(self.resolutions))[resolution[:, 0]]
            features = np.concatenate([features, onehot], axis=1)
        elif self.resolutions:
            pixels = np.array(self.resolutions, np.float64)
            width = (pixels / pixels[-1])[resolution]
            features = np.concatenate([features, features * width**2, width**2, width], axis=1)
        return features.reshape(*archs.shape[:-1], features.shape[1])

    # Graphs

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output, and what a layer is: its stage's depth, its kernel and its expansion."""
        return self._dag_operations

    @cached_property
    def _dag_operations(self) -> tuple[str, ...]:
        kinds = product(self.depths, self.kernels, self.expansions)
        return ("input", "output", *(f"d{d}_k{k}_e{e}" for d, k, e in kinds))

    @property
    def dag_says_all(self) -> bool:
        """All but the resolution, where that is a decision."""
        return not self.resolutions

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as chains, of 22 vertices by default, without the resolution.

        As in MetaD2A's MobileNetV3 search: a layer's vertex says the depth of its stage, too. A
        layer that does not exist has the first kernel and expansion.
        """
        depths, kernels, expansions, _ = self.parts(archs)
        of_layer = np.repeat(depths, self.most, axis=1)
        kinds = (of_layer * len(self.kernels) + kernels) * len(self.expansions) + expansions
        at = np.arange(STAGES * self.most)
        return line_graph(at, at + 1, 2 + kinds, outputs=[len(at)])

    def of_vertices(self, operations: Ints) -> Archs:
        """``(n, L)`` architectures with these ``operations (n, V)``, at the highest resolution.

        A stage is as deep as its first layer says.
        """
        kinds = np.clip(operations[:, 1:-1] - 2, 0, None)
        kinds, expansions = np.divmod(kinds, len(self.expansions))
        depths, kernels = np.divmod(kinds, len(self.kernels))
        depths = depths[:, :: self.most] % len(self.depths)
        resolution = np.full((len(kinds), int(bool(self.resolutions))), len(self.resolutions) - 1)
        archs = np.concatenate([depths, kernels, expansions, resolution], axis=1)
        return self.mended(archs.astype(np.int64))

    def graph(self, arch: Archs) -> Edges:
        """The chain of layers that there are."""
        _, kernels, expansions, _ = self.parts(arch[None])
        there = np.flatnonzero(self.present(arch[None])[0])
        names = [
            f"k{self.kernels[kernels[0, at]]}_e{self.expansions[expansions[0, at]]}" for at in there
        ]
        return [(str(at), str(at + 1), name) for at, name in enumerate(names)]
