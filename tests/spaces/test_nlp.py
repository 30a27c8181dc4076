"""NAS-Bench-NLP's space: its rules, its figures, and the space of the cells of logs."""

import json
from itertools import permutations

import numpy as np
import pytest

from nasrun.benchmarks.nb_nlp import read
from nasrun.errors import ConfigError, DataError
from nasrun.spaces.nlp import NLP
from nasrun.spec import Task
from nasrun.streams import Streams

LOGS = "nb_nlp/nas_bench_nlp_wikitext2_logs.zip"
RNN = (
    '{"f": {"op": "linear", "input": ["x", "h_prev_0"]}, "h_new_0": {"op": "activation_tanh", '
    '"input": ["f"]}}'
)
PLAIN = '{"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}'


def words(count):
    return Task("wikitext2", count, 1, "a", "b", 1, 1)


def test_small_cells_of_one_state_by_hand():
    """One or two nodes of x and h: what can be written, counted by hand."""
    space = NLP(nodes=1, states=1)
    everything = space.at(np.arange(space.size))
    archs = everything[space.exists(everything)]
    # linear of two in two orders, and three activations of the state.
    assert len(archs) == 5
    assert len({space.canonical(arch) for arch in archs}) == 4


def test_a_node_that_nothing_reads_is_left_out():
    space = NLP(nodes=3, states=1)
    arch = space.parse(RNN)
    more = arch.copy()
    more[9:13] = [6, 2, 0, 0]  # a third node, tanh of the first
    assert space.exists(np.array([arch, more])).all()
    assert space.canonical(arch) == space.canonical(more)
    assert space.graph(arch) == space.graph(more)
    assert space.text(arch) != space.text(more)
    for found in (
        *space.dag(np.array([arch, more])),
        *space.footprint(np.array([arch, more]), words(9)),
    ):
        np.testing.assert_array_equal(found[0], found[1])


def test_graph_and_drawing_of_a_cell():
    space = NLP()
    arch = space.parse(RNN)
    assert space.graph(arch) == [
        ("x", "node_0", "linear"), ("h_prev_0", "node_0", "linear"), ("node_0", "h_new_0", "tanh"),
    ]  # fmt: skip
    dag = space.dag(arch[None])
    kinds = [space.dag_operations[kind] for kind in dag.operations[0] if kind >= 0]
    assert kinds == ["input", "state", "linear2", "activation_tanh", "output"]
    assert dag.adjacency.sum() == 4


def test_which_input_of_a_blend_is_which_is_on_its_vertex():
    space = NLP(nodes=3, states=1)
    seen = []
    for inputs in permutations(["h_prev_0", "f", "g"]):
        recipe = {
            "f": {"op": "activation_tanh", "input": ["h_prev_0"]},
            "g": {"op": "activation_sigm", "input": ["f"]},
            "h_new_0": {"op": "blend", "input": list(inputs)},
        }
        dag = space.dag(space.parse(json.dumps(recipe))[None])
        order = [inputs.index(source) for source in ("h_prev_0", "f", "g")]
        seen.append((order, space.dag_operations[dag.operations[0, 4]]))
    names = [(order, "blend_" + "".join(map(str, order))) for order, _ in seen]
    assert seen == [(order, name.replace("_012", "")) for order, name in names]


def test_parameters_by_hand():
    """Ten words: table 10 x 400 and a bias each; then a linear operation of each layer."""
    millions, flops = NLP().footprint(NLP().parse(PLAIN)[None], words(10))
    layers = (400 * 600 + 600 * 600 + 600) + (2 * 600 * 600 + 600) + (2 * 600 * 400 - 80_000 + 400)
    assert layers == 1_721_600
    np.testing.assert_allclose(millions, [(10 * 401 + layers) / 1e6])
    assert np.isnan(flops).all()


def logs(folder):
    for number, (recipe, loss) in enumerate([(RNN, 2.0), (PLAIN, 3.0)]):
        own = {
            "data": "data/wikitext-2", "epochs": 1, "recepie": recipe, "wall_times": [1.0],
            "train_losses": [loss], "val_losses": [loss], "test_losses": [loss],
        }  # fmt: skip
        (folder / f"{number}.json").write_text(json.dumps(own))
    return folder


def test_what_exists_in_a_space_of_logs_is_what_they_hold(tmp_path):
    space = NLP(nodes=3, states=2, recipes=logs(tmp_path))
    known = {space.canonical(space.parse(text)) for text in (RNN, PLAIN)}
    sampled = space.sample(Streams(range(40)))
    assert {space.canonical(arch) for arch in sampled} == known
    for changed in (space.mutate(sampled, Streams(range(40))), space.neighbours(sampled[0])):
        assert {space.canonical(arch) for arch in changed} <= known
    assert (space.mutate(sampled, Streams(range(40))) != sampled).any(axis=1).all()
    elsewhere = NLP(nodes=3, states=2).sample(Streams(range(200)))
    assert space.listed is not None
    texts = {space.text(arch) for arch in space.listed}
    found = [space.text(arch) in texts for arch in elsewhere]
    np.testing.assert_array_equal(space.exists(elsewhere), found)


def test_logs_of_larger_cells_and_senseless_fields_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"space.states=3 needs as many nodes, got 2"):
        NLP(nodes=2)
    small = NLP(nodes=1, states=1, recipes=logs(tmp_path))
    with pytest.raises(ConfigError, match=r"2 nodes and 1 states, where space.nodes=1"):
        small.sample(Streams([0]))
    with pytest.raises(DataError, match=r"0.json is no log .* space.nodes=1"):
        read(tmp_path, NLP(nodes=1, states=1))


def test_recipes_that_differ_in_names_are_one_cell_with_two_runs(tmp_path):
    logs(tmp_path)
    again = json.loads((tmp_path / "0.json").read_text())
    again["recepie"] = RNN.replace('"f"', '"gate"')
    (tmp_path / "2.json").write_text(json.dumps(again))
    assert len(read(tmp_path).archs or ()) == 3
    assert len(read(tmp_path, NLP()).archs or ()) == 2


@pytest.mark.data
def test_every_cell_at_hand_is_read_and_has_the_logged_number_of_parameters(data_dir):
    import zipfile

    space, recipes, numbers = NLP(), [], []
    with zipfile.ZipFile(data_dir / LOGS) as archive:
        for name in archive.namelist():
            log = json.loads(archive.read(name))
            recipes.append(log["recepie"])
            numbers.append(log["num_params"])
    archs = np.array([space.parse(text) for text in recipes])
    assert space.exists(archs).all()
    millions, _ = space.footprint(archs, words(33_278))
    assert np.round(1e6 * millions).tolist() == numbers
    assert len(numbers) == 345
    listed = NLP(recipes=data_dir / LOGS)
    found = listed.sample(Streams(range(300)))
    assert listed.exists(listed.mutate(found, Streams(range(300)))).all()
    assert listed.listed is not None
    assert len({listed.canonical(arch) for arch in listed.listed}) == 265
