"""NEAT's genomes: networks as lists of links, whose names say what they descend from."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np

from nasrun.nets.evolved import Evolved, Wiring
from nasrun.ranges import require_at_least, require_positive, require_within
from nasrun.spaces.base import misplaced
from nasrun.spaces.genome import GenomeSpace, Uniforms
from nasrun.spec import Archs, Controllers, Differences, Edges, Floats, Ints, Task

Link = tuple[str, str]  # source, target
Gene = tuple[float, bool]  # weight, whether the link is enabled
Genes = Mapping[Link, Gene]
DECIMALS = 4  # of a weight, in the text and in the network alike
NUMBER = r"(?:0|[1-9]\d{0,2})(?!\d)"  # of an input or output
# A gene as text: source, > or / (disabled), target, weight, and what ends it.
TOKENS = (
    ("an input, an output or a hidden unit", re.compile(rf"[io]{NUMBER}|h[0-9a-f]{{10}}")),
    ("> or, of a disabled link, /", re.compile(r"[>/]")),
    ("an output or a hidden unit", re.compile(rf"o{NUMBER}|h[0-9a-f]{{10}}")),
    (":", re.compile(r":")),
    ("a weight such as -0.5", re.compile(r"-?\d{1,6}\.\d{1,4}")),
    (", or ;", re.compile(r"[,;]")),
)


@dataclass
class NeatGenomes(GenomeSpace):
    """Networks that grow by new links and by units that split a link.

    Stanley and Miikkulainen, "Evolving Neural Networks through Augmenting Topologies"
    (Evolutionary Computation 10(2), 2002), section 3; rates as in section 4.1 (recalled), the power
    of a mutation as in goNEAT. A genome starts without hidden units, every input linked to every
    output. Texts are such as ``i0>o0:0.5000,i1/o0:-1.2500;``, where ``/`` is a disabled link.

    **Historical markings.** The paper numbers a new link globally, and again in every generation.
    Here a link is named by what it connects, and a unit by the link that it splits (and how many
    units of the genome did so before): equal changes have equal names whoever makes them, and
    whenever, so trials stay independent of each other and of the order of discovery.

    Departures: without numbers there is no order of genes, so disjoint and excess genes count
    alike, as in the paper's settings (c1 = c2); weights are kept with four decimals.

    Args:
        inputs: numbers that a network sees, the constant one (bias) among them.
        outputs: numbers that it gives.
        cycles: whether links may close a cycle.
        recurrent: where they may, share of new links that do.
        add_unit: probability that a mutant has a unit more.
        add_link: probability that it has a link more. Otherwise its weights are mutated, as in
            goNEAT: what is new must not be lost at once.
        replaced: share of mutated weights that are drawn anew; the others are shifted.
        power: a shift and a new weight are uniform in [-power, power].
        cap: most a mutated weight may be, or its negative.
        start: weights of the first genomes are uniform in [-start, start].
        disabled: probability that a gene stays disabled which just one of two parents has disabled.

    Raises:
        ConfigError: a count below 1, or a number out of range.
    """

    name: str = "genome"
    inputs: int = 3
    outputs: int = 1
    cycles: bool = False
    recurrent: float = 0.5
    add_unit: float = 0.03
    add_link: float = 0.08
    replaced: float = 0.1
    power: float = 2.5
    cap: float = 8.0
    start: float = 1.0
    disabled: float = 0.75

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "inputs", "outputs")
        shares = ("recurrent", "add_unit", "add_link", "replaced", "disabled")
        require_within(self, "space", "[0, 1]", *shares)
        require_positive(self, "space", "start")
        # Less than a decimal changes no weight, and more has no text.
        require_within(self, "space", f"[{10.0**-DECIMALS}, 999999]", "power", "cap")

    @property
    def minimal(self) -> str:
        """All inputs linked to all outputs, with weights of zero."""
        return _text(dict.fromkeys(self._first, (0.0, True)))

    @cached_property
    def _first(self) -> list[Link]:
        inputs = [f"i{number}" for number in range(self.inputs)]
        return [(one, f"o{number}") for one in inputs for number in range(self.outputs)]

    @cached_property
    def _read(self) -> dict[str, Genes]:
        """Genes by text, of the genomes that are in use."""
        return {}

    @cached_property
    def _arrays(self) -> dict[int, tuple[Ints, Floats]]:
        """Numbers of links and their weights by genome, of those that were compared."""
        return {}

    @cached_property
    def _numbered(self) -> dict[Link, int]:
        """Links by number, in the order in which they were met: for comparisons alone."""
        return {}

    def _genes(self, text: str) -> Genes:
        if text not in self._read:
            self._read[text] = self._parsed(text)
        return self._read[text]

    def _kept(self, genes: Genes) -> str:
        text = _text(genes)
        self._read[text] = genes
        return text

    def forget(self, archs: Archs) -> None:
        """Drop the texts and genes of ``archs (n, 1)``; the numbers are not used again."""
        for text in self._dropped(archs):
            self._read.pop(text, None)
        for number in archs[:, 0].tolist():
            self._arrays.pop(number, None)

    def drawn(self, uniforms: Uniforms) -> str:
        """The first genome with random weights."""
        weights = self.start * (2 * uniforms(len(self._first)) - 1)
        links = sorted(self._first)
        return self._kept({link: _gene(w) for link, w in zip(links, weights, strict=True)})

    def mutated(self, genome: str, uniforms: Uniforms) -> str:
        """One more unit, or one more link, or other weights."""
        genes = self._genes(genome)
        draws: list[float] = uniforms(4 + 2 * len(genes)).tolist()
        kind, *where = draws[:4]
        grown: Genes = {}
        if kind < self.add_unit:
            grown = _split(genes, where[0])
        elif kind < self.add_unit + self.add_link:
            grown = self._linked(genes, where)
        if grown:
            new: Genes = dict(sorted({**genes, **grown}.items()))
        else:
            new = self._reweighted(genes, draws[4:])
        text = self._kept(new)
        return text if text != genome else self.mutated(genome, uniforms)

    def _linked(self, genes: Genes, draws: Sequence[float]) -> Genes:
        """A new link between two units that have none; nothing where there is no such pair."""
        place, weight, recurrent = draws
        units = sorted({unit for link in genes for unit in link})
        below = _descendants(genes)
        pairs = [
            (source, target)
            for source in units
            for target in units
            if target[0] != "i" and (source, target) not in genes
        ]
        closing = [(s, t) for s, t in pairs if s == t or s in below.get(t, ())]
        forward = sorted(set(pairs) - set(closing))
        chosen = closing if self.cycles and recurrent < self.recurrent else forward
        if not chosen:
            return {}
        return {chosen[int(len(chosen) * place)]: _gene(self.power * (2 * weight - 1))}

    def _reweighted(self, genes: Genes, draws: Sequence[float]) -> Genes:
        """Other weights: shifted, or drawn anew."""
        new: dict[Link, Gene] = {}
        each = zip(genes.items(), draws[::2], draws[1::2], strict=True)
        for (link, (weight, on)), anew, shift in each:
            moved = self.power * (2 * shift - 1) + (weight if anew >= self.replaced else 0.0)
            new[link] = _gene(min(max(moved, -self.cap), self.cap), on)
        return new

    def crossed(self, a: str, b: str, uniforms: Uniforms) -> str:
        """The genes of ``a``, the fitter parent; those that ``b`` has, too, from either."""
        other = self._genes(b)
        genes = dict(self._genes(a))
        both = [link for link in genes if link in other]
        draws: list[float] = uniforms(2 * len(both)).tolist()
        for link, which, stays in zip(both, draws[::2], draws[1::2], strict=True):
            (weight, on), (others, also) = genes[link], other[link]
            enabled = on if on == also else stays >= self.disabled
            genes[link] = (weight if which < 0.5 else others, enabled)
        return self._kept(genes)

    def read(self, text: str) -> str:
        """The genome of a text, its links in order and its weights with four decimals."""
        return self._kept(self._parsed(text))

    def _parsed(self, text: str) -> Genes:
        genes: dict[Link, Gene] = {}
        place, end = 0, ","
        while end == ",":
            start, parts = place, list[str]()
            for what, pattern in TOKENS:
                found = pattern.match(text, place)
                if found is None or not self._known(found[0]):
                    raise misplaced("a NEAT", text, place, f"expected {what}")
                parts.append(found[0])
                place = found.end()
            source, sign, target, _, weight, end = parts
            if (source, target) in genes:
                raise misplaced("a NEAT", text, start, "this link stands there twice")
            genes[source, target] = _gene(float(weight), sign == ">")
            if not self.cycles and target in _descendants(genes).get(target, ()):
                raise misplaced("a NEAT", text, start, "a cycle, which needs space.cycles=true")
        if place != len(text):
            raise misplaced("a NEAT", text, place, "the text should end here")
        return dict(sorted(genes.items()))

    def _known(self, token: str) -> bool:
        """Whether there is such an input or output."""
        counts = {"i": self.inputs, "o": self.outputs}
        return token[0] not in counts or int(token[1:]) < counts[token[0]]

    def differences(self, archs: Archs, other: Archs) -> Differences:
        """How genomes differ from another one link by link."""
        if not len(archs):
            return Differences(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
        links, weights = zip(*map(self._links, archs[:, 0].tolist()), strict=True)
        sizes = np.array([*map(len, links)], np.int64)
        theirs, their_weights = self._links(int(other[0]))
        order = np.argsort(theirs)
        link = np.concatenate(links)
        at = order[np.minimum(np.searchsorted(theirs, link, sorter=order), len(theirs) - 1)]
        both = theirs[at] == link
        apart = np.abs(np.concatenate(weights) - their_weights[at])
        genome = np.repeat(np.arange(len(sizes)), sizes)
        matching = np.bincount(genome, both, len(sizes)).astype(np.int64)
        apart = np.bincount(genome, both * apart, len(sizes))
        return Differences(
            sizes + len(theirs) - 2 * matching,
            apart / np.maximum(matching, 1),
            np.maximum(sizes, len(theirs)),
        )

    def _links(self, number: int) -> tuple[Ints, Floats]:
        """``(g,)`` numbers of a genome's links, and their weights."""
        found = self._arrays.get(number)
        if found is None:
            text = self._texts[number]
            assert text is not None, "asked about a genome that was forgotten"
            genes, known = self._genes(text), self._numbered
            links = [known.setdefault(link, len(known)) for link in genes]
            weights = [weight for weight, _ in genes.values()]
            found = np.array(links, np.int64), np.array(weights, np.float64)
            self._arrays[number] = found
        return found

    def controllers(self, archs: Archs) -> Controllers:
        """The networks of ``archs (n, 1)``, at rest."""
        wirings = [self._wiring(self._genes(self.text(arch))) for arch in archs]
        return Evolved.of_wirings(wirings, self.inputs, self.outputs)

    def _wiring(self, genes: Genes) -> Wiring:
        number = {f"i{at}": at for at in range(self.inputs)}
        number |= {f"o{at}": self.inputs + at for at in range(self.outputs)}
        hidden = sorted({unit for link in genes for unit in link if unit[0] == "h"})
        number |= {unit: self.inputs + self.outputs + at for at, unit in enumerate(hidden)}
        links = [
            (number[source], number[target] - self.inputs, weight)
            for (source, target), (weight, on) in genes.items()
            if on
        ]
        return Wiring(links, len(hidden))

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` enabled links in millions; NaN for FLOPs, and where no link is enabled."""
        genes = [self._genes(self.text(arch)) for arch in archs]
        links = np.array([sum(on for _, on in one.values()) for one in genes], np.float64)
        return np.where(links > 0, links / 1e6, np.nan), np.full(len(archs), np.nan)

    def graph(self, arch: Archs) -> Edges:
        """Enabled links with their weights; units are numbered as they follow one another.

        A link that closes a cycle leads to a copy of its target, such as ``o0'``.
        """
        genes = self._genes(self.text(arch))
        enabled = {link: gene for link, gene in genes.items() if gene[1]}
        hidden = sorted({unit for link in enabled for unit in link if unit[0] == "h"})
        names = {unit: f"h{number}" for number, unit in enumerate(hidden)}
        drawn: dict[Link, Gene] = {}
        edges: Edges = []
        for (source, target), (weight, on) in enabled.items():
            back = source == target or source in _descendants(drawn).get(target, ())
            if not back:
                drawn[source, target] = (weight, on)
            ends = names.get(source, source), names.get(target, target) + "'" * back
            edges.append((*ends, f"{weight:.2f}"))
        return edges or [("i0", "o0", "none")]


def _gene(weight: float, enabled: bool = True) -> Gene:
    return round(float(weight), DECIMALS) + 0.0, enabled  # + 0.0: no negative zero


def _text(genes: Genes) -> str:
    links = genes.items()
    return (
        ",".join(f"{s}{'>' if on else '/'}{t}:{w:.{DECIMALS}f}" for (s, t), (w, on) in links) + ";"
    )


def _unit(source: str, target: str, again: int) -> str:
    """Name of the unit that splits a link: 40 bits of what it descends from."""
    origin = f"{source}>{target}#{again}".encode()
    return "h" + blake2b(origin, digest_size=5).hexdigest()


def _split(genes: Genes, draw: float) -> Genes:
    """A unit on an enabled link: weight 1 before it, the old weight behind it."""
    enabled = [link for link, (_, on) in genes.items() if on]
    if not enabled:
        return {}
    source, target = link = enabled[int(len(enabled) * draw)]
    units, again = {unit for link in genes for unit in link}, 0
    while (unit := _unit(source, target, again)) in units:
        again += 1
    weight = genes[link][0]
    return {link: (weight, False), (source, unit): (1.0, True), (unit, target): (weight, True)}


def _descendants(links: Iterable[Link]) -> dict[str, set[str]]:
    """By unit, all units that links lead to from it."""
    after: dict[str, set[str]] = {}
    for source, target in links:
        after.setdefault(source, set()).add(target)
    grown = True
    while grown:
        grown = False
        for reached in after.values():
            more = set().union(*(after.get(unit, ()) for unit in reached)) - reached
            reached |= more
            grown |= bool(more)
    return after
