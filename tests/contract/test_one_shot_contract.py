"""What every one-shot method promises: the contract of the others, on a supernet that is tiny."""

import random
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from composed import CONF, ONE_SHOT, composed
from toys import ToyEvaluator

from nasrun.algorithms.one_shot import CHECKPOINT
from nasrun.budget import Budget
from nasrun.config import check
from nasrun.errors import UnsupportedError
from nasrun.pipeline import search

pytestmark = pytest.mark.parametrize("name", ONE_SHOT)
EPOCHS = 4
TINY = (
    "task=synthetic_images", "algorithm.batch=16", "scale.channels=4", "scale.cells=1",
    "scale.train_images=32", "scale.valid_images=32", f"scale.epochs={EPOCHS}",
    "scale.candidates=3",
)  # fmt: skip
OWN = {
    "enas": ("algorithm.updates=16", "algorithm.samples=2", "algorithm.hidden=4"),
    "enas_rnn": (
        "task=text",
        "task.classes=20",
        "task.steps=4",
        "task.train_images=40",
        "task.valid_images=40",
        "task.test_images=4",
        "space=rnn_cell",
        "scale.cells=null",
        "algorithm.updates=4",
        "algorithm.samples=2",
        "algorithm.hidden=4",
    ),
    "enas_macro": (
        "space=enas_macro",
        "scale.cells=null",
        "algorithm.updates=4",
        "algorithm.samples=2",
        "algorithm.hidden=4",
    ),
    "one_shot_bender": ("algorithm.ghost=8", "algorithm.finalists=2"),
    "proxylessnas": ("algorithm.arch_every=1",),
    "proxylessnas_rl": ("algorithm.arch_every=1", "algorithm.samples=2"),
}


@dataclass(frozen=True)
class Searched:
    """Epoch by epoch what was derived, how good it was and what it took; the method's weights."""

    archs: list
    accuracies: list
    cost_s: list
    outcome: object
    algorithm: object

    def same_as(self, other):
        assert self.archs == other.archs
        assert self.accuracies == other.accuracies
        one, two = (s.algorithm.network.state_dict() for s in (self, other))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)


def experiment(name, *more):
    said = {word.partition("=")[0]: word for word in (*TINY, *OWN.get(name, ()))}
    made = check(composed(f"algorithm={name}", *said.values(), *more), [CONF / "task"])
    return replace(made, evaluator=ToyEvaluator())


def searched(name, *more, seed=3, folder=None, **limits):
    made = replace(experiment(name, *more), budget=Budget(**limits))
    outcome, history = search(made.opened(), np.array([seed]), None, folder)
    steps = history._measured
    return Searched(
        [m.archs[0].tolist() for m in steps],
        [float(m.score[0]) for m in steps],
        [float(m.cost_s[0]) for m in steps],
        outcome,
        made.algorithm,
    )


@cache
def plain(name):
    """One search that several tests look at."""
    return searched(name)


def global_states():
    legacy = np.random.get_state()  # noqa: NPY002 (what must not change)
    return random.getstate(), legacy[1].tolist(), legacy[2:], torch.get_rng_state().tolist()


def test_an_epoch_is_a_step_and_the_schedule_is_the_budget(name):
    before = global_states()
    found = plain(name)
    assert global_states() == before
    assert len(found.archs) == EPOCHS == found.algorithm.planned_steps
    assert found.outcome.evaluations.tolist() == [EPOCHS]
    assert found.outcome.archs[0].tolist() == found.archs[-1]
    arity = found.algorithm.problem.space.arity
    assert ((np.array(found.archs) >= 0) & (np.array(found.archs) < arity)).all()
    assert all(0.0 <= accuracy <= 100.0 for accuracy in found.accuracies)
    assert all(cost > 0 for cost in found.cost_s)
    assert all(weight.isfinite().all() for weight in found.algorithm.weights)


def test_a_stopped_search_goes_on_to_the_same_weights(name, tmp_path):
    """Stopped after two epochs, which is also a search with a smaller budget."""
    first = searched(name, folder=tmp_path, evaluations=2)
    assert first.outcome.evaluations.tolist() == [2]
    assert first.archs == plain(name).archs[:2]
    onward = searched(name, folder=tmp_path)
    onward.same_as(plain(name))
    assert onward.cost_s[:2] == first.cost_s
    again = searched(name, folder=tmp_path)
    again.same_as(plain(name))
    assert again.cost_s == onward.cost_s
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_training_that_diverges_has_no_accuracy_and_derives_nothing(name, caplog, tmp_path):
    """The first epoch goes well; then the weights are gone, and nothing is trained any more."""
    made = experiment(name, *("scale.cells=3",) * (name == "p_darts"))  # whose supernet grows
    algorithm = made.algorithm
    update, trained = algorithm.update, set()

    def diverging(x, y):
        update(x, y)
        trained.add(algorithm.epoch)
        if algorithm.epoch == 1:
            with torch.no_grad():
                algorithm.weights[0].fill_(np.nan)

    algorithm.update = diverging
    for epochs in (3, EPOCHS):  # the second time it goes on from its checkpoint
        made.budget.evaluations = epochs
        outcome, history = search(made.opened(), np.array([3]), None, tmp_path)
        scores = [float(measured.score[0]) for measured in history._measured]
        assert np.isnan(scores).tolist() == [False] + [True] * (epochs - 1)
        assert outcome.failed.tolist() == [epochs - 1]
        assert outcome.archs.tolist() == history._measured[0].archs.tolist()
        assert trained == {0, 1}
        assert [float(measured.cost_s[0]) > 0 for measured in history._measured[:3]] == [
            True, True, False,
        ]  # fmt: skip
    assert sum("not finite after epoch 2" in line for line in caplog.messages) == 1


def test_all_that_is_trained_is_watched_for_numbers_that_are_none(name):
    algorithm = plain(name).algorithm
    optimisers = [algorithm.weight_optimizer]
    optimisers += [p for p in algorithm._kept.values() if isinstance(p, torch.optim.Optimizer)]
    trained = {id(p) for o in optimisers for group in o.param_groups for p in group["params"]}
    assert trained <= {id(tensor) for tensor in algorithm.learning()}


def test_another_seed_gives_another_search(name):
    other = searched(name, seed=4, evaluations=1)
    parameter = next(iter(other.algorithm.network.parameters()))
    same = searched(name, seed=3, evaluations=1)
    assert not torch.equal(parameter, next(iter(same.algorithm.network.parameters())))


def test_rows_say_that_the_weights_were_shared_and_what_was_reduced(name):
    protocol = experiment(name).opened().protocol
    assert protocol.fidelity.startswith(f"shared weights, {EPOCHS} epochs; reduced: channels 4")
    assert protocol.clock == "measured"
    ended = experiment(name)
    ended.budget.evaluations = EPOCHS
    assert ended.opened().protocol == protocol
    ended.budget.evaluations = EPOCHS - 1
    fidelity = f"{protocol.fidelity}; ended after {EPOCHS - 1} by budget.evaluations"
    assert ended.opened().protocol == replace(protocol, fidelity=fidelity)


def test_trials_are_played_one_at_a_time(name):
    made = experiment(name)
    assert not made.algorithm.cohort
    with pytest.raises(UnsupportedError, match="one trial at a time"):
        search(made.opened(), np.array([1, 2]), None)


def test_a_space_without_a_supernet_is_refused_in_one_sentence(name):
    with pytest.raises(UnsupportedError, match="has no supernet"):
        searched(name, "space=nats_size")


def test_cells_of_the_darts_space_are_searched_too(name):
    """By the method's own kind of rows; the other kind is refused in one sentence."""
    tiny = (
        "space.nodes=2", "space.operations=[skip_connect,sep_conv_3x3,max_pool_3x3]",
        "scale.cells=2", "scale.epochs=2", "scale.channels=4", "scale.train_images=16",
    )  # fmt: skip
    kinds = {"setn": ["darts_unas"], "unas": ["darts_unas"], "pc_darts": ["darts"]}
    kinds |= {
        "proxylessnas_rl": ["darts_unas"],
        "enas_macro": ["enas_macro"],
        "enas_rnn": ["rnn_cell"],
    }
    kinds = next((kinds[key] for key in kinds if name.startswith(key)), ["darts", "darts_unas"])
    for kind in ("darts", "darts_unas"):
        run = lambda kind=kind: searched(name, f"space={kind}", *tiny)  # noqa: E731
        if kind in kinds:
            found = run()
            assert len(found.archs) == 2
            assert (np.array(found.archs) < found.algorithm.problem.space.arity).all()
        else:
            with pytest.raises(UnsupportedError, match=f"set space={kinds[0]}"):
                run()
