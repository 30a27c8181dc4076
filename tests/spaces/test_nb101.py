import gzip
import json
from itertools import permutations, product

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError
from nasrun.nets import nb101_cells as cells
from nasrun.nets.footprint import footprint
from nasrun.spaces.nb101 import NB101
from nasrun.spaces.nb101_base import Encoding
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = NB101()
TASK = Task("cifar10", 10, 32, "a", "b", 1, 1)
# The cell of the benchmark's README.
MATRIX = [
    [0, 1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0],
    [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1], [0] * 7,
]  # fmt: skip
OPERATIONS = ["conv1x1-bn-relu", *["conv3x3-bn-relu"] * 3, "maxpool3x3"]
BITS = "".join(str(bit) for row in MATRIX for bit in row)
INCEPTION = f"{BITS} input,{','.join(OPERATIONS)},output"
DIRECT = "[[[0, 1], [0, 0]], [-1, -2]]"


def of(matrix, labels):
    return SPACE.parse(json.dumps([matrix, labels]))


def drawn(count, purpose="cells"):
    return SPACE.sample(Streams(range(count), purpose))


def test_the_example_of_the_authors():
    arch = SPACE.parse(INCEPTION)
    assert SPACE.text(arch) == INCEPTION
    assert arch[21:].tolist() == [1, 0, 0, 0, 2]
    assert SPACE.graph(arch) == [
        ("in", "1:1x1", "1x1 projection"), ("in", "2:3x3", "1x1 projection"),
        ("in", "3:3x3", "1x1 projection"), ("in", "5:pool", "1x1 projection"),
        ("1:1x1", "out", ""), ("2:3x3", "out", ""), ("3:3x3", "4:3x3", ""), ("4:3x3", "out", ""),
        ("5:pool", "out", ""),
    ]  # fmt: skip


def test_other_notations_are_the_same_cell():
    arch = SPACE.parse(INCEPTION)
    labels = ["input", *OPERATIONS, "output"]
    naslib = [int(bit) for bit in BITS] + [0, 3, 4, 4, 4, 2, 1]
    for text in (
        f"  {INCEPTION}\n",
        INCEPTION.replace(" ", "|").replace(",", "|"),
        json.dumps([MATRIX, [-1, 1, 0, 0, 0, 2, -2]]),
        json.dumps([MATRIX, labels]),
        str(tuple(naslib)),
    ):
        np.testing.assert_array_equal(SPACE.parse(text), arch)
    small = SPACE.parse("010001000 input,maxpool3x3,output")
    assert SPACE.text(small).startswith("0100000000000100")  # the output is the last vertex
    assert small[21] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0100", "expected a space and the operations at character 5"),
        ("01000 input,output", "expected 7x7 zeros and ones, found 5 at character 6"),
        ("0111 input,output", "expected 0, because edges lead to later vertices at character 3"),
        ("0100 input,maxpool3x3", "expected output at character 12"),
        ("010001000 input,conv5x5,output", "expected conv3x3-bn-relu or conv1x1-bn-relu or max"),
        ("0100 input,output,output", "expected the end at character 19"),
        ("0000 input,output", "no path to the output at character 1"),
        ("[[0, 1], [1, 0]]", "no matrix with its labels"),
        ("[[[1, 1], [0, 0]], [-1, -2]]", "1 above the diagonal alone"),
        ("[[[0, 1], [0, 0]], [-2, -1]]", "the input stands first"),
        ("(0, 1, 0, 0, 0, 7)", "no matrix with its labels"),
        ("[" * 500, "no matrix with its labels"),
        ("[0," * 5000, "it has 15000 characters"),
        ("[[[0, 1], [0, 0]], [-1, 1.5]]", "neither a number nor a name"),
    ],
)
def test_bad_texts_are_refused(text, words):
    with pytest.raises(ConfigError, match=words):
        SPACE.parse(text)


def test_ten_edges_are_too_many_unless_pruning_leaves_nine():
    matrix = np.triu(np.ones((5, 5), int), 1)  # ten edges
    with pytest.raises(ConfigError, match="10 edges, of at most 9"):
        of(matrix.tolist(), [-1, 0, 1, 2, -2])
    matrix[3, 4] = 0  # vertex 3 is a dead end
    arch = of(matrix.tolist(), [-1, 0, 1, 2, -2])
    assert SPACE.dag(arch[None]).adjacency.sum() == 6
    assert SPACE.dag(arch[None]).operations.tolist() == [[0, 2, 3, -1, -1, -1, 1]]


def test_pruning_leaves_what_is_on_a_path():
    archs = drawn(300)
    adjacency, _ = SPACE.matrices(archs)
    for own, left in zip(adjacency, cells.pruned(adjacency), strict=True):
        ways = sum(np.linalg.matrix_power(own.astype(int), n) for n in range(1, 7)) + np.eye(7)
        used = (ways[0] > 0) & (ways[:, -1] > 0)
        np.testing.assert_array_equal(left, own & used & used[:, None])


# Canonical keys.


def isomorphic(one, other):
    """Brute force: whether some order of the inner vertices turns one cell into the other."""
    (a, ka), (b, kb) = one, other
    if a.sum() != b.sum() or sorted(ka) != sorted(kb):
        return False
    inner = len(ka) - 2
    for order in permutations(range(1, inner + 1)):
        place = [0, *order, inner + 1]
        moved = b[np.ix_(place, place)]
        if all(ka[i] == kb[p] for i, p in enumerate(place)) and (a == moved).all():
            return True
    return False


def compact(archs):
    """Pruned matrices and labels of the vertices that are left."""
    dag = SPACE.dag(archs)
    used = dag.operations >= 0
    return [
        (a[np.ix_(u, u)], k[u].tolist())
        for a, k, u in zip(dag.adjacency, dag.operations, used, strict=True)
    ]


def test_keys_agree_with_isomorphism_on_all_cells_of_four_vertices():
    """All 2^6 * 3^2 encodings of four vertices, each against each of another key or the same."""
    every = []
    for bits in product((0, 1), repeat=6):
        matrix = np.zeros((4, 4), int)
        matrix[np.triu_indices(4, 1)] = bits
        every += [(matrix.tolist(), [-1, *kinds, -2]) for kinds in product(range(3), repeat=2)]
    every = [cell for cell in every if _has_path(cell[0])]
    archs = np.array([of(*cell) for cell in every])
    _keys_agree_with_isomorphism(archs)


def _has_path(matrix):
    return np.linalg.matrix_power(np.eye(4, dtype=int) + matrix, 4)[0, -1] > 0


def _keys_agree_with_isomorphism(archs):
    keys, shapes = SPACE.canonical_keys(archs), compact(archs)
    groups = {}
    for key, shape in zip(keys.tolist(), shapes, strict=True):
        groups.setdefault(key, []).append(shape)
    firsts = [group[0] for group in groups.values()]
    for group in groups.values():
        assert all(isomorphic(group[0], other) for other in group[1:])
    kinds = {}
    for first in firsts:
        kinds.setdefault((first[0].sum(), tuple(sorted(first[1]))), []).append(first)
    for alike in kinds.values():
        for at, one in enumerate(alike):
            assert not any(isomorphic(one, other) for other in alike[:at])
    return len(firsts)


@pytest.mark.slow
def test_keys_agree_with_isomorphism_on_all_cells_of_five_vertices():
    edges, kinds = [], []
    for bits in product((0, 1), repeat=10):
        matrix = np.zeros((7, 7), bool)
        matrix[[0, 0, 0, 0, 1, 1, 1, 2, 2, 3], [1, 2, 3, 6, 2, 3, 6, 3, 6, 6]] = bits
        for three in product(range(3), repeat=3):
            edges.append(matrix[cells.SOURCES, cells.TARGETS])
            kinds.append([*three, 0, 0])
    archs = np.concatenate([np.array(edges, np.int64), np.array(kinds, np.int64)], axis=1)
    archs = archs[SPACE.exists(archs)]
    assert _keys_agree_with_isomorphism(archs) == 2532  # of at most five vertices and nine edges


@pytest.mark.slow
def test_keys_agree_with_isomorphism_on_pairs_of_seven_vertices():
    _pairs_agree(10_000)


def test_keys_agree_with_isomorphism_on_some_pairs_of_seven_vertices():
    _pairs_agree(150)


def _pairs_agree(pairs):
    """A cell against itself in another order, and then with two operations or one edge changed."""
    random = np.random.default_rng(0)
    most = random.random((100 * pairs, 21))
    most = most <= np.sort(most, axis=1)[:, [8]]  # nine of the possible edges
    whole = cells.pruned(cells.adjacency_of(most))
    complete = np.flatnonzero(cells.used_vertices(whole).all(axis=1))[:pairs]
    kinds = random.integers(3, size=(len(whole), 5))
    assert len(complete) == pairs
    same = 0
    for number, at in enumerate(complete):
        adjacency, labels = whole[at], np.array([0, *kinds[at], 0])
        order = _another_order(adjacency, random)
        moved, names = adjacency[np.ix_(order, order)], labels[order]
        if number % 4 == 1:
            one, two = 1 + random.choice(5, 2, replace=False)
            names[[one, two]] = names[[two, one]]
        elif number % 4 == 3:
            one, two = sorted(random.choice(7, 2, replace=False))
            moved[one, two] ^= True
        pair, both = cells.pruned(np.stack([adjacency, moved])), np.stack([labels, names])[:, 1:-1]
        keys = cells.keys(pair, both)
        ends = [(a, [-1, *own.tolist(), -2]) for a, own in zip(pair, both, strict=True)]
        agree = isomorphic(*ends) if cells.used_vertices(pair).all() else False
        assert (keys[0] == keys[1]) == agree
        same += agree
    assert pairs / 2 <= same < 0.9 * pairs


def _another_order(adjacency, random):
    """Vertices in a random order in which edges lead to later ones."""
    order = [0]
    while len(order) < 7:
        rest = [v for v in range(1, 7) if v not in order]
        free = [v for v in rest if all(u in order for u in np.flatnonzero(adjacency[:, v]))]
        order.append(random.choice([v for v in free if v < 6] or free))
    return order


def test_keys_of_unused_vertices_say_nothing():
    arch = SPACE.parse("010001000 input,maxpool3x3,output")
    other = arch.copy()
    other[22:] = [1, 2, 1, 2]
    dangling = arch.copy()
    dangling[1] = 1  # the input leads to vertex 2, which leads nowhere
    keys = SPACE.canonical_keys(np.stack([arch, other, dangling]))
    assert len(set(keys.tolist())) == 1
    assert SPACE.canonical(arch) == f"{int(keys[0]) % 2**64:016x}"


def test_keys_see_beyond_the_next_vertex():
    """Two cells whose vertices have the same operations, degrees and neighbours one step away."""
    end = " input,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3,conv3x3-bn-relu,conv3x3-bn-relu,output"
    one = SPACE.parse("0110000000001100011000000100000001000000010000000" + end)
    other = SPACE.parse("0110000000010100010100000100000001000000010000000" + end)
    assert not isomorphic(*compact(np.stack([one, other])))
    assert SPACE.canonical(one) != SPACE.canonical(other)


@pytest.mark.slow
def test_enumeration_reaches_the_published_number_of_cells():
    edges, kinds = cells.enumerated()
    archs = np.concatenate([edges, kinds], axis=1).astype(np.int64)
    assert len(archs) == len(np.unique(SPACE.canonical_keys(archs))) == SPACE.networks
    assert SPACE.exists(archs).all()
    assert SPACE.neighbours(archs[-1]).shape[0] > 10
    random = drawn(20_000)
    assert np.isin(SPACE.canonical_keys(random), SPACE.canonical_keys(archs)).all()


def test_enumeration_of_up_to_five_vertices():
    sizes = [len(cells._of_size(vertices)[0]) for vertices in range(2, 6)]
    assert sizes == [1, 6, 84, 2441]  # 2,532 in all


@pytest.mark.data
def test_published_fingerprints_and_parameters(data_dir):
    """Every cell of three published lists parses, is told from the others, and counts right."""
    import pandas as pd

    folder = data_dir / "nb101"
    graphs = json.loads(gzip.decompress((folder / "generated_graphs_5V9E.json.gz").read_bytes()))
    archs = np.array([of(*graph) for graph in graphs.values()])
    assert len(np.unique(SPACE.canonical_keys(archs))) == len(graphs) == 2532
    table = pd.read_csv(folder / "ec_nas_7v_4310.csv.gz", dtype=str)
    texts = table["adjacency_row_major"] + " " + table["operations"]
    archs = np.array([SPACE.parse(text) for text in texts])
    params_m, _ = SPACE.footprint(archs, TASK)
    official = table["trainable_parameters"].astype(int)
    np.testing.assert_array_equal(np.rint(1e6 * params_m), official)
    assert len(official) == 4310
    proxies = pd.read_csv(folder / "naslib_nb101_500.csv.gz", dtype=str)
    texts = proxies["adjacency_row_major_7x7"] + " " + proxies["operations"]
    archs = np.array([SPACE.parse(text) for text in texts])
    np.testing.assert_allclose(SPACE.footprint(archs, TASK)[0], proxies["params"].astype(float))
    keys = SPACE.canonical_keys(archs)
    pairs = set(zip(keys.tolist(), proxies["module_hash"], strict=True))
    assert len(pairs) == len(set(keys.tolist())) == proxies["module_hash"].nunique() == 292


# Encodings.


def test_encodings_by_hand():
    """in -> 1 (3x3) -> out, in -> 2 (pool) -> out, in -> out."""
    arch = of([[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], [-1, 0, 2, -2])
    path = SPACE.encode(arch, "path")
    # No operation; one of 3x3, 1x1, pool; then two of them, the first weighing least.
    assert np.flatnonzero(path).tolist() == [0, 1, 3]
    chain = of(np.eye(4, k=1, dtype=int).tolist(), [-1, 1, 2, -2])
    assert np.flatnonzero(SPACE.encode(chain, "path")).tolist() == [2 + 3 * 3]
    np.testing.assert_array_equal(SPACE.encode(chain, "truncated_path"), np.eye(40)[11])
    longest = of(np.eye(7, k=1, dtype=int).tolist(), [-1, *[2] * 5, -2])
    assert np.flatnonzero(SPACE.encode(longest, "path")).tolist() == [363]
    assert not SPACE.encode(longest, "truncated_path").any()
    # Edges 0-1, 0-2, 0-6, 1-6 and 2-6 are numbers 1, 2, 6, 11 and 15 of 21.
    categorical = SPACE.encode(arch, "categorical")
    assert categorical[:21].tolist() == [1, 2, 6, 11, 15] + [0] * 16
    assert categorical[21:].tolist() == [1, 3, 5, 0, 0, 0, 2]  # input, 3x3, pool, output
    adjacency = SPACE.encode(arch, "adjacency")
    assert np.flatnonzero(adjacency[:21]).tolist() == [0, 1, 5, 10, 14]
    assert SPACE.encode(arch, "continuous").tolist() == [*adjacency, 5]


@pytest.mark.parametrize("encoding", Encoding)
def test_the_default_encoding_can_be_chosen(encoding):
    space = NB101(encoding=encoding)
    assert space.encodings[0] == encoding.value
    archs = drawn(3)
    np.testing.assert_array_equal(space.encode(archs), SPACE.encode(archs, encoding.value))


def test_encodings_of_graphs_are_those_of_isomorphic_cells_too_where_they_are_of_paths():
    archs = drawn(200)
    for code in ("path", "truncated_path"):
        by_key = {}
        for key, own in zip(SPACE.canonical_keys(archs), SPACE.encode(archs, code), strict=True):
            np.testing.assert_array_equal(by_key.setdefault(key, own), own)


# Networks.


def test_formulas_count_what_networks_have():
    archs = np.concatenate([drawn(2, "networks"), [SPACE.parse(DIRECT), SPACE.parse(INCEPTION)]])
    params_m, flops_m = SPACE.footprint(archs, TASK)
    for arch, params, flops in zip(archs, params_m, flops_m, strict=True):
        with torch.device("meta"):
            network = SPACE.build(arch, TASK, Scale())
        assert footprint(network, 32) == pytest.approx((params, flops), rel=1e-9)


def test_the_example_of_the_authors_has_the_parameters_on_record():
    """[N1] README: the Inception-like cell of the example has 2,694,282 trainable parameters."""
    params_m, _ = SPACE.footprint(SPACE.parse(INCEPTION)[None], TASK)
    assert round(1e6 * params_m[0]) == 2_694_282


def test_networks_of_ten_cells_learn():
    x, y = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    for arch in drawn(10, "networks"):
        torch.manual_seed(0)
        network = SPACE.build(arch, TASK, Scale(channels=8, cells=1))
        assert network.features(x).shape == (4, 32, 4, 4)
        optimizer = torch.optim.SGD(network.parameters(), 0.05)
        before = [parameter.clone() for parameter in network.parameters()]
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
        assert torch.isfinite(network(x)).all()
        changed = [(a != b).any() for a, b in zip(before, network.parameters(), strict=True)]
        assert all(changed)


def test_a_cell_computes_what_the_benchmark_computes():
    """Two vertices feed the output and share its channels; a third is cut; the input is added."""
    from nasrun.nets.nb101 import Cell

    matrix = [[0, 1, 0, 0, 1], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1], [0] * 5]
    [adjacency], [operations] = SPACE.cells(of(matrix, [-1, 0, 1, 2, -2])[None])
    torch.manual_seed(0)
    cell = Cell(adjacency, operations, 3, 5).eval()
    x = torch.randn(2, 3, 6, 6)
    project, of_vertex = cell.projections, cell.operations
    assert set(project) == {"1", "6"}
    first = of_vertex["1"](project["1"](x))
    assert first.shape[1] == 3  # the most of those that it leads to: 3 and 2 of 5 channels
    second = of_vertex["2"](first)
    third = of_vertex["3"](first[:, :2] + second[:, :2])
    expected = torch.cat([second, third], dim=1) + project["6"](x)
    torch.testing.assert_close(cell(x), expected)
    torch.testing.assert_close(
        third, torch.nn.functional.max_pool2d(first[:, :2] + second[:, :2], 3, 1, 1)
    )
