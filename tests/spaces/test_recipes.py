"""Texts and keys of NAS-Bench-NLP's cells."""

import itertools

import pytest

from nasrun.errors import ConfigError
from nasrun.spaces import recipes

LSTM = """{"i": {"op": "linear", "input": ["x", "h_prev_0"]},
 "i_act": {"op": "activation_tanh", "input": ["i"]},
 "j": {"op": "linear", "input": ["x", "h_prev_0"]},
 "j_act": {"op": "activation_sigm", "input": ["j"]},
 "part": {"op": "elementwise_prod", "input": ["i_act", "j_act"]},
 "h_new_0": {"op": "elementwise_prod", "input": ["act", "j_act"]},
 "h_new_1": {"op": "elementwise_sum", "input": ["part", "h_prev_1"]},
 "act": {"op": "activation_tanh", "input": ["h_new_1"]}}"""


def test_nodes_stand_behind_what_they_read():
    cell = recipes.read(LSTM)
    assert list(cell) == ["i", "i_act", "j", "j_act", "part", "h_new_1", "act", "h_new_0"]
    assert recipes.OPERATIONS[cell["i"][0]] == "linear2"
    assert cell["h_new_1"] == (recipes.OPERATIONS.index("elementwise_sum"), ("part", "h_prev_1"))
    assert recipes.read(recipes.written(cell)) == cell


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"input": ["i"]', '"input": ["k"]', "there is no k at character"),
        ('"input": ["i"]', '"input": ["h_prev_2"]', "there is no h_prev_2"),
        ('"input": ["i"]', '"input": ["i", "j"]', "activation_tanh takes 1 inputs"),
        ('"input": ["i"]', '"input": ["x"]', "x is read by linear alone"),
        ('["x", "h_prev_0"]', '["x"]', "linear takes 2 or 3 inputs"),
        ('["x", "h_prev_0"]', '["x", "x"]', "x is read twice"),
        ('"i_act": {', '"i": {', "i is there already"),
        ('"i_act": {', '"h_prev_1": {', "h_prev_1 is there already"),
        ('"h_new_0"', '"h_new_2"', "without a gap"),
        ('["part", "h_prev_1"]', '["part", "act"]', "nodes read each other"),
        ("activation_sigm", "activation_relu", "expected one of linear, blend"),
    ],
)
def test_what_is_no_cell_is_refused(old, new, words):
    with pytest.raises(ConfigError, match=words):
        recipes.read(LSTM.replace(old, new, 1))


def test_a_cell_larger_than_the_space_is_refused():
    with pytest.raises(ConfigError, match=r"8 nodes and 2 states, where space.nodes=7"):
        recipes.require_room(recipes.read(LSTM), 7, 3, LSTM)


def cell(*nodes):
    """Of words: a name, an operation, inputs."""
    return {
        name: (recipes.OPERATIONS.index(operation), tuple(inputs))
        for name, operation, *inputs in (node.split() for node in nodes)
    }


TWINS = (
    "a linear2 x h_prev_0", "b linear2 x h_prev_0", "c activation_tanh a", "d activation_sigm b",
    "h_new_1 elementwise_sum c h_prev_1", "h_new_0 elementwise_prod d h_new_1",
)  # fmt: skip


def renamed(*pairs):
    text = "|".join(TWINS)
    for old, new in pairs:
        text = text.replace(old, new)
    return cell(*text.split("|"))


@pytest.mark.parametrize(
    "same",
    [
        cell(*(TWINS[at] for at in (1, 0, 3, 2, 4, 5))),
        renamed(("x h_prev_0", "h_prev_0 x"), ("c h_prev_1", "h_prev_1 c")),
        renamed(("a linear2", "z linear2"), ("tanh a", "tanh z")),
    ],
)
def test_names_and_orders_make_no_other_cell(same):
    assert recipes.key(same) == recipes.key(cell(*TWINS))


@pytest.mark.parametrize(
    "other",
    [
        renamed(("activation_tanh", "activation_sigm")),
        renamed(("elementwise_sum", "elementwise_prod")),
        renamed(("activation_sigm b", "activation_sigm a")),  # then b is read by nothing
        renamed(("c h_prev_1", "c h_prev_0")),
        renamed(("h_new_1", "#"), ("h_new_0", "h_new_1"), ("#", "h_new_0")),  # another output
    ],
)
def test_other_cells_have_other_keys(other):
    assert recipes.key(other) != recipes.key(cell(*TWINS))


def test_blends_inputs_have_roles_and_states_but_the_first_change_places():
    def blended(*order):
        return cell(
            "h_new_0 linear2 x h_prev_0", "h_new_1 activation_tanh h_prev_1",
            "h_new_2 blend " + " ".join(order),
        )  # fmt: skip

    orders = list(itertools.permutations(("h_prev_0", "h_prev_1", "h_new_0")))
    assert len({recipes.key(blended(*order)) for order in orders}) == 6
    swapped = cell(
        "h_new_0 linear2 x h_prev_0", "h_new_2 activation_tanh h_prev_2",
        "h_new_1 blend h_prev_0 h_prev_2 h_new_0",
    )  # fmt: skip
    assert recipes.key(swapped) == recipes.key(blended("h_prev_0", "h_prev_1", "h_new_0"))


def test_many_that_look_alike_are_told_apart():
    """A ring of states of six, and two of three: the same surroundings everywhere."""

    def rings(*sizes):
        nodes, start = ["h_new_0 linear2 x h_prev_0"], 1
        for size in sizes:
            for at in range(size):
                nodes.append(f"h_new_{start + at} activation_tanh h_prev_{start + (at + 1) % size}")
            start += size
        return recipes.key(cell(*nodes))

    assert rings(6) != rings(3, 3)
    assert rings(2, 4) == rings(4, 2)
