"""What every one-shot method inherits, by hand: its schedule, judging, epochs."""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_supernet import LABEL, ROWS, TRAIN, carry_gradients, tiny

from nasrun.algorithms import one_shot
from nasrun.algorithms.gdas import GDAS
from nasrun.algorithms.reduction import Reduction
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.device import Device
from nasrun.nets.recipe import Precision
from nasrun.spec import Phase
from nasrun.streams import Streams


def test_a_scale_may_shorten_the_schedule_and_rows_say_so():
    assert GDAS(epochs=7).planned_steps == 7
    reduced = GDAS(epochs=7, scale=Reduction(epochs=3, channels=4))
    assert reduced.planned_steps == 3
    wanted = {"run": "own", "clock": "measured"}
    assert GDAS(epochs=7).protocol == {"fidelity": "shared weights, 7 epochs", **wanted}
    words = "shared weights, 3 epochs; reduced: channels 4, epochs 3"
    assert reduced.protocol == {"fidelity": words, **wanted}


# Judging

LOGITS = torch.tensor([[1.0, 0.0, 3.0], [0.0, 2.0, 1.0], [5.0, 0.0, 0.0]])


def judging(method):
    """A network that knows three classes; says whether it judged in evaluation mode."""
    method.processor = SimpleNamespace(autocast=nullcontext, processor=torch.device("cpu"))
    modes = []

    def forward(x, rows):
        modes.append(method.network.training)
        return LOGITS[x]

    method.network.forward = forward
    method.network.rows_of = lambda arch: arch
    return modes


def test_accuracy_is_the_percentage_over_all_batches_in_evaluation_mode():
    method = tiny(GDAS())
    modes = judging(method)
    batches = [([0, 1, 2, 0], [2, 1, 0, 0]), ([1, 1], [0, 1]), ([2, 2], [0, 0])]
    pairs = iter([(torch.tensor(x), torch.tensor(y)) for x, y in batches])
    assert method.accuracy(np.array([1, 2]), pairs) == pytest.approx(100 * 6 / 8)
    assert modes == [False] * 3
    assert method.network.training


def test_the_best_of_some_is_the_one_with_the_highest_accuracy():
    method = tiny(GDAS())
    method.draws, glimpsed = "draws", []
    method.data = SimpleNamespace(glimpse=lambda draws: glimpsed.append(draws) or len(glimpsed))
    method.accuracy = lambda arch, batch: {1: 20.0, 2: 60.0, 3: 50.0}[batch]
    archs = [np.array([each]) for each in (7, 8, 9)]
    assert method.best_of(archs) is archs[1]
    assert glimpsed == ["draws"] * 3


def test_a_single_path_is_one_hot():
    method = tiny(GDAS())
    judging(method)
    rows = method.single_path(np.array([1, 2]))
    assert [row.tolist() for row in rows] == [[0.0, 1.0], [0.0, 0.0, 1.0]]


# Epochs


class Counted(GDAS):
    """Says what is called, and how far the search is then."""

    def begin_epoch(self):
        self.calls.append(("begin", self.progress))

    def update(self, x, y):
        self.calls.append((int(x), self.progress))

    def end_epoch(self):
        self.calls.append(("end", self.progress))

    def derive(self):
        return np.array([1, self.epoch % 3])


def counted():
    method = tiny(Counted(epochs=5))
    method.calls, method._records = [], []
    method.processor = SimpleNamespace(computing=nullcontext, wait=lambda: None)
    method.data = SimpleNamespace(
        steps=4, training=lambda epoch: ((torch.tensor(each), LABEL) for each in range(4)),
        judging=lambda: "validation images",
    )  # fmt: skip
    method._refresh = lambda purpose: method.calls.append((purpose, method.progress))
    method.accuracy = lambda arch, batches: {"validation images": 40.0 + method.epoch}[batches]
    method.problem.folder = None
    method.problem.latency_ms = lambda archs: archs.sum(axis=1) * 1.0
    method.problem.reward = lambda score, latency: score - latency
    return method


def test_an_epoch_trains_derives_and_judges():
    method = counted()
    method.network.eval()
    first, second = method.step(), method.step()
    assert method.calls == [
        ("epoch/0", 0.0), ("begin", 0.0), (0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75), ("end", 1.0),
        ("epoch/1", 1.0), ("begin", 1.0), (0, 1.0), (1, 1.25), (2, 1.5), (3, 1.75), ("end", 2.0),
    ]  # fmt: skip
    assert method.network.training
    assert (first.archs.tolist(), second.archs.tolist()) == ([[1, 0]], [[1, 1]])
    assert (first.epochs.tolist(), second.epochs.tolist()) == ([1], [2])
    assert (first.reward.tolist(), second.reward.tolist()) == ([39.0], [39.0])
    assert second.latency_ms.tolist() == [2.0]
    assert 0 < first.cost_s[0] < 60
    assert method.recommend().tolist() == [[1, 1]]


def test_an_epoch_on_record_is_looked_up():
    method = counted()
    cost_s = method.step().cost_s
    method.epoch, method.calls = 0, []
    assert method.step().cost_s == cost_s
    assert not method.calls


def test_what_is_told_of_a_step_is_the_share_of_the_search_and_its_place(monkeypatch):
    told = []
    monkeypatch.setattr(one_shot, "tell", lambda share, words: told.append((share, words())))
    method = counted()
    method.step()
    assert told == [
        (step / 20, f"epoch 1 of 5, step {step} of 4") for step in (1, 2, 3, 4)
    ] + [(0.2, "epoch 1 of 5, judging what was found")]  # fmt: skip
    method._last_loss = torch.tensor(0.25)
    method._tell(3)
    assert told[-1] == ((1 + 3 / 4) / 5, "epoch 2 of 5, step 3 of 4, loss 0.250")


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_one_number_that_is_not_finite_ends_a_search(number):
    method = counted()
    method._searching = False
    method.random_arch = lambda: np.array([0, 2])
    sound, spoilt = torch.ones(2), torch.tensor([1.0, number])
    method.learning = lambda: [sound]
    assert method._is_finite()
    method.learning = lambda: [sound, spoilt]
    first = method.step()
    assert (first.archs.tolist(), np.isnan(first.score).tolist()) == ([[0, 2]], [True])
    method = counted()
    method._searching, method.learning = False, lambda: [sound]
    method.step()
    method.learning = lambda: [spoilt, sound]
    second, third = method.step(), method.step()
    assert (second.archs.tolist(), np.isnan(second.score).tolist()) == ([[1, 0]], [True])
    assert third.archs.tolist() == [[1, 0]]
    # The third was not trained for, which what is loaded with it must know.
    assert [record.get("trained", True) for record in method._records] == [True, True, False]


def test_a_search_goes_on_from_its_checkpoint(tmp_path):
    method = tiny(GDAS())
    method.problem.folder, method._records = tmp_path, [{"arch": [1, 2]}]
    method.keep(logits=method.logits)
    with torch.no_grad():
        method.logits += 1.0
        method.network.weight += 3.0
    method._save()
    other = tiny(GDAS())
    other.problem.folder, other._records = tmp_path / "other", []
    other.keep(logits=other.logits)
    other._load()
    assert (other._records, other.network.weight.item()) == ([], 2.0)
    other.problem.folder = tmp_path
    other._load()
    assert (other._records, other.network.weight.item()) == ([{"arch": [1, 2]}], 5.0)
    assert torch.equal(other.logits, method.logits)


def test_a_step_of_the_logits_teaches_no_weight():
    method = tiny(GDAS(epochs=5))
    before = method.network.weight.item()
    method.arch_step(method.loss(TRAIN, LABEL, method.path()))
    assert carry_gradients(method) == [True]
    assert method.network.weight.item() == before
    assert method.network.weight.grad is None
    assert len(ROWS) == len(method.logits)


def test_a_random_architecture_is_drawn_from_the_epochs_own_numbers():
    method = tiny(GDAS())
    method.draws = np.array([[1, 2]])
    method.problem.space.sample = lambda draws: draws
    assert method.random_arch().tolist() == [1, 2]


# Start


class Started(GDAS):
    """Builds nothing."""

    def build(self, scale, share):
        self.built = scale.channels, scale.cells, share, self.processor.precision

    def prepare(self):
        self.keep(own="kept")

    def _refresh(self, purpose):
        self.purpose = purpose

    def _load(self):
        assert self._kept == {"own": "kept"}


@pytest.fixture
def start(monkeypatch):
    monkeypatch.setattr(one_shot, "SharedData", lambda *given: given)

    def begin(trials=1, objective=None, **fields):
        method = Started(device="cpu", batch=3, scale=Reduction(channels=4, cells=2), **fields)
        task = SimpleNamespace(name="drawing", objective=objective)
        problem = SimpleNamespace(trials=trials, task=task, images=lambda: "images")
        method.start(problem, Streams([7]), Phase.SEARCH)
        return method

    return begin


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        (Precision.auto, Precision.float32),
        (Precision.float32, Precision.float32),
        (Precision.bfloat16, Precision.bfloat16),
    ],
)
def test_a_search_on_a_cpu_is_exact_unless_it_is_told_otherwise(start, asked, used):
    method = start(precision=asked)
    assert method.built == (4, 2, 1, used)
    assert (method.epoch, method.progress, method._records, method.purpose) == (0, 0.0, [], "start")
    assert method.data[:3] == ("images", method.scale, 3)


def test_losses_are_not_scaled_so_float16_is_refused_and_never_chosen(start, monkeypatch):
    monkeypatch.setattr(Device, "__post_init__", lambda self: None)
    older = {Precision.float32: torch.float32, Precision.bfloat16: torch.bfloat16}  # of GPUs
    dtype = property(lambda self: older.get(self.precision, torch.float16))
    monkeypatch.setattr(Device, "dtype", dtype)
    for asked in (Precision.auto, Precision.float32):
        assert start(precision=asked).processor.precision is Precision.float32
    assert start(precision=Precision.bfloat16).processor.precision is Precision.bfloat16
    with pytest.raises(ConfigError, match=r"algorithm\.precision=float16 needs scaled losses"):
        start(precision=Precision.float16)


def test_what_is_no_classification_cannot_start(start):
    with pytest.raises(UnsupportedError, match="not what task=drawing is for"):
        start(objective="of pixels")


def test_several_trials_cannot_start(start):
    with pytest.raises(UnsupportedError, match="plays one trial at a time, got 2"):
        start(trials=2)
