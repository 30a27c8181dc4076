"""NAS-Bench-NLP's space: recurrent cells as recipes of operations."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nasrun.benchmarks.nb_nlp import read
from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least
from nasrun.spaces import recipes as cells
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.recipes import ARITY, BLEND, INPUTS, LINEAR, NONE, OPERATIONS
from nasrun.spec import Archs, Dag, Edges, Floats, Mask, Streams, Task

LAYERS = ((400, 600), (600, 600), (600, 400))  # widths of input and state, layer by layer
EMBEDDING = 400  # units of a word, whose table is the output's, too
STEP = 1 + INPUTS  # decisions of a node
MILLION = 1e6
# The order in which the vertices of a blend's inputs stand in a graph, unless it is 0, 1, 2.
BLENDS = ("blend_021", "blend_102", "blend_120", "blend_201", "blend_210")


@dataclass
class NLP(ConditionalSpace):
    """Cells of up to ``nodes`` operations and ``states`` hidden states.

    Klyuchnikov et al., "NAS-Bench-NLP" (IEEE Access 2022), as its release writes cells: nodes with
    an operation and inputs, among them the input ``x`` and the states before, ``h_prev_0``, ...;
    the nodes ``h_new_0``, ... are the states after. ``x`` is read by linear operations alone, as in
    all recipes at hand, since in the first layer it is of another width.

    Decisions are the number of states; node by node its operation and up to three inputs, which
    differ, in an order in which inputs come first; and which node each new state is. The release
    uses every node, the input and all states; here what nothing reads is allowed, and left out of
    keys, graphs and counts.

    With ``recipes``, NAS-Bench-NLP's ``logs.zip`` (or a folder of logs), the space holds the cells
    of these logs and nothing else: what exists is what was trained, of whole cells as of prefixes,
    so that a search on the table asks for no cell that it lacks.

    Its networks are not built: the training (AWD-LSTM's dropouts and optimisers) is described by
    hyper-parameters in the logs alone.

    Raises:
        ConfigError: a count below 1, or more states than nodes.
        DataError: logs that are not the benchmark's, or of larger cells.
    """

    name: str = "nlp"
    nodes: int = 15
    states: int = 3
    recipes: Path | None = None

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "nodes", "states")
        if self.states > self.nodes:
            raise ConfigError(f"space.states={self.states} needs as many nodes, got {self.nodes}")

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """States; operation and inputs of each node; the node of each new state."""
        return self._decisions

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        nodes = [f"node_{number}" for number in range(self.nodes)]
        found: list[tuple[str, ...]] = [tuple(str(count + 1) for count in range(self.states))]
        for number in range(self.nodes):
            found += [OPERATIONS, *[(*self._given, *nodes[:number])] * INPUTS]
        return (*found, *[tuple(nodes)] * self.states)

    @property
    def _given(self) -> tuple[str, ...]:
        """What a cell is given: input and states."""
        return (cells.INPUT, *(cells.before(state) for state in range(self.states)))

    @cached_property
    def listed(self) -> Archs | None:
        """``(rows, L)`` cells of the logs, each once."""
        if self.recipes is None:
            return None
        texts = read(self.recipes).archs or ()
        return np.unique([self.parse(text) for text in texts], axis=0)

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)`` options that a cell can have after ``prefix (n, l)``."""
        place = prefix.shape[1]
        options = np.arange(len(self.decisions[place]))
        if self.listed is not None:
            same = (prefix[:, None] == self.listed[:, :place]).all(axis=2)
            return same @ (self.listed[:, place, None] == options)
        if not place:
            return np.ones((len(prefix), len(options)), np.bool_)
        node, part = divmod(place - 1, STEP)
        if node >= self.nodes:
            return self._of_state(prefix, place - 1 - STEP * self.nodes)
        return self._of_input(prefix, node, part) if part else self._of_operation(prefix, node)

    def _of_operation(self, prefix: Archs, node: int) -> Mask:
        """None ends the nodes, of which there are as many as states; others need their inputs."""
        states = prefix[:, :1] + 1
        linear = np.isin(np.arange(len(OPERATIONS)), LINEAR)
        legal = states + node + linear >= ARITY
        legal[:, NONE] = node >= states[:, 0]
        if node:
            ended = prefix[:, 1 + STEP * (node - 1)] == NONE
            legal[ended] = np.arange(len(OPERATIONS)) == NONE
        return legal

    def _of_input(self, prefix: Archs, node: int, part: int) -> Mask:
        """What there is and was not taken yet; the first where the operation has no such input."""
        first, states = 1 + STEP * node, prefix[:, :1] + 1
        operation = prefix[:, first]
        sources = np.arange(len(self._given) + node)
        legal = (sources <= states) | (sources >= len(self._given))
        legal[:, 0] = np.isin(operation, LINEAR)
        for earlier in range(first + 1, first + part):
            legal[np.arange(len(prefix)), prefix[:, earlier]] = False
        legal[part > ARITY[operation]] = sources == 0
        return legal

    def _of_state(self, prefix: Archs, state: int) -> Mask:
        """A node that is no other state's."""
        legal = prefix[:, 1 : 1 + STEP * self.nodes : STEP] != NONE
        for earlier in range(1 + STEP * self.nodes, prefix.shape[1]):
            legal[np.arange(len(prefix)), prefix[:, earlier]] = False
        legal[state > prefix[:, 0]] = np.arange(self.nodes) == 0
        return legal

    def sample(self, streams: Streams) -> Archs:
        """``(T, L)`` architectures: of logs each alike, else decision by decision."""
        if self.listed is None:
            return super().sample(streams)
        return self.listed[streams.integers(len(self.listed))[:, 0]]

    def text(self, arch: Archs) -> str:
        """The recipe in the release's JSON."""
        return cells.written(self._cell(arch))

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a recipe, whatever its nodes are called.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        cell = cells.read(text)
        cells.require_room(cell, self.nodes, self.states, text)
        sources = {name: at for at, name in enumerate([*self._given, *cell])}
        arch = np.zeros(len(self.arity), np.int64)
        for node, (name, (operation, inputs)) in enumerate(cell.items()):
            first = 1 + STEP * node
            arch[first] = operation
            arch[first + 1 : first + 1 + len(inputs)] = [sources[source] for source in inputs]
            if cells.is_after(name):
                state = cells.number_of(name) or 0
                arch[0] = max(arch[0], state)
                arch[1 + STEP * self.nodes + state] = node
        return arch

    def canonical(self, arch: Archs) -> str:
        """Key of what leads to a new state, without names and orders."""
        [adjacency] = self._adjacency(arch[None])
        leads = adjacency[len(self._given) :].any(axis=1)[: self.nodes]
        nodes = zip(self._cell(arch).items(), leads, strict=False)
        return cells.key({name: node for (name, node), used in nodes if used})

    def _cell(self, arch: Archs) -> cells.Cell:
        """The recipe by names, nodes that nothing reads included."""
        states, given = int(arch[0]) + 1, self._given
        count = int((arch[1 : 1 + STEP * self.nodes : STEP] != NONE).sum())
        names = [f"node_{node}" for node in range(count)]
        for state in range(states):
            names[arch[1 + STEP * self.nodes + state]] = cells.after(state)
        known, cell = [*given, *names], dict[str, tuple[int, Sequence[str]]]()
        for node, name in enumerate(names):
            operation, *inputs = arch[1 + STEP * node : 1 + STEP * (node + 1)].tolist()
            cell[name] = operation, [known[each] for each in inputs[: ARITY[operation]]]
        return cell

    def _adjacency(self, archs: Archs) -> Mask:
        """``(n, V, V)`` what leads to what: input and states, nodes, new states.

        Nothing leads to a node that leads nowhere.
        """
        given, rows = len(self._given), np.arange(len(archs))
        vertices = given + self.nodes + self.states
        edges = np.zeros((len(archs), vertices, vertices), np.bool_)
        for node in range(self.nodes):
            first = 1 + STEP * node
            for part in range(INPUTS):
                reads = part < ARITY[archs[:, first]]
                edges[rows[reads], archs[reads, first + 1 + part], given + node] = True
        for state in range(self.states):
            there = state <= archs[:, 0]
            source = given + archs[there, 1 + STEP * self.nodes + state]
            edges[rows[there], source, given + self.nodes + state] = True
        for node in reversed(range(given, given + self.nodes)):
            edges[~edges[:, node].any(axis=1), :, node] = False
        return edges

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, states before and after, and operations.

        A blend stands there six times: no edge can say which of its inputs gates the two others.
        """
        return ("input", "state", "output", *OPERATIONS[1:], *BLENDS)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as graphs: input, states, the nodes that lead to new states, these."""
        edges, given = self._adjacency(archs), len(self._given)
        kinds = np.full(edges.shape[:2], -1)
        there = np.arange(self.states) <= archs[:, :1]
        kinds[:, 0] = 0
        kinds[:, 1:given] = np.where(there, 1, -1)
        kinds[:, -self.states :] = np.where(there, 2, -1)
        used = edges[:, given : given + self.nodes].any(axis=2)
        steps = archs[:, 1 : 1 + STEP * self.nodes].reshape(len(archs), self.nodes, STEP)
        operations, order = steps[:, :, 0], steps[:, :, 1:].argsort(axis=2)
        turned = 2 * order[:, :, 0] + (order[:, :, 1] > order[:, :, 2])  # 0: as their vertices
        apart = (operations == BLEND) & (turned > 0)
        labels = np.where(apart, len(OPERATIONS) + 1 + turned, operations + 2)
        kinds[:, given : given + self.nodes] = np.where(used, labels, -1)
        return Dag(edges, kinds)

    def graph(self, arch: Archs) -> Edges:
        """What leads to what by the recipe's names; an edge bears the operation it leads to."""
        [edges], given = self._adjacency(arch[None]), len(self._given)
        cell = self._cell(arch)
        names = [*self._given, *cell]
        found: Edges = []
        for node, (name, (operation, _)) in enumerate(cell.items(), given):
            word = OPERATIONS[operation].removeprefix("activation_").removeprefix("elementwise_")
            found += [(names[at], name, word.rstrip("23")) for at in np.flatnonzero(edges[:, node])]
        return found

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters in millions of the language model that was trained; FLOPs unknown.

        Three layers, a table of words that is also the output's, a bias for each linear operation
        and for each word: the field ``num_params`` of all 345 logs at hand.
        """
        edges, given = self._adjacency(archs), len(self._given)
        nodes = slice(given, given + self.nodes)
        linear = np.isin(archs[:, 1 : 1 + STEP * self.nodes : STEP], LINEAR)
        linear &= edges[:, nodes].any(axis=2)
        of_input = (edges[:, 0, nodes] & linear).sum(axis=1)
        of_others = (edges[:, 1:, nodes].sum(axis=1) * linear).sum(axis=1)
        count = np.full(len(archs), task.classes * (EMBEDDING + 1.0))
        for width, hidden in LAYERS:
            weights = of_input * width + of_others * hidden + linear.sum(axis=1)
            count += weights * hidden
        return count / MILLION, np.full(len(archs), np.nan)
