import copy
from dataclasses import replace

import numpy as np
import pytest
from composed import CONF, composed
from conditioned import CELLS, SPACE, TASKS, experiment, score_of, table
from toys import ToyEvaluator, ToySpace

from nasrun.benchmarks.ilsvrc import development_kit, sorted_rows
from nasrun.benchmarks.metad2a_records import FILES, read
from nasrun.config import check
from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.meta.metad2a_database import MetaD2ADatabase
from nasrun.meta.subset_records import classes_of, standardised
from nasrun.meta_records import inputs_of, learn_from_records
from nasrun.record.artifact import Artifact, ship, shipped
from nasrun.spec import Features


class Named(Features):
    """Features that know a class by its number."""

    name = "named"

    def of(self, pixels):
        return pixels.reshape(len(pixels), -1)[:, :4].astype(np.float32)

    def class_rows(self):
        return np.arange(1000, dtype=np.float32)[:, None]


def pool(**changes):
    return MetaD2ADatabase(**{"features": Named(), **changes})


def opened(made, space=SPACE, target="cifar10"):
    task = check(composed(f"task={target}"), [CONF / "task"]).task
    return made.opened(space, task, ToyEvaluator())


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return experiment(tmp_path_factory.mktemp("own")).opened().pool


def test_trainings_of_ones_own_are_records(own):
    records = own.records()
    assert len(records.archs) == len(CELLS) * len(TASKS)
    assert records.datasets == [(0, 1), (1, 2), (0, 2), (3, 1)]
    assert (records.archs[: len(CELLS)] == CELLS).all()
    scores = np.array([score_of(arch, TASKS[1]) for arch in CELLS])
    at = records.dataset == 1
    np.testing.assert_allclose(records.score[at], (scores - scores.mean()) / scores.std())
    assert own.label == "metad2a_database(trainings.csv, pictures of others)"


def test_pictures_of_a_class_are_of_that_class(own):
    """All pictures of a class of the made-up ones look alike, but for noise."""
    features = own.records().features
    assert features.shape == (4, 64, 12)
    centres = features.mean(1)
    distance = np.linalg.norm(features[:, :, None] - centres, axis=-1)
    assert (distance.argmin(-1) == np.arange(4)[:, None]).mean() > 0.9


def test_a_share_of_the_tasks_is_held_out(tmp_path):
    library = experiment(tmp_path, "meta.held_out=0.5").opened().pool
    records = library.records()
    held_out = {at for at in range(4) if records.held_out[records.dataset == at].all()}
    assert len(held_out) == 2
    assert records.held_out.sum() == 2 * len(CELLS)


def test_a_cell_may_be_left_out(tmp_path):
    made = experiment(tmp_path, f"meta.without=['{SPACE.text(CELLS[3])}']").opened().pool
    assert not (made.records().archs == CELLS[3]).all(1).any()
    left = [cell for cell in CELLS if SPACE.canonical(cell) != SPACE.canonical(CELLS[3])]
    assert len(made.records().archs) == len(left) * len(TASKS)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["meta.path=/nowhere.csv"], "/nowhere.csv is not there: set meta.path"),
        (["meta.source.name=synthetic_images"], "is the data of task=synthetic_images itself"),
        (["meta.source.name=cats"], "found none: choose another file with meta.path"),
        (["meta.features=null"], "meta.features must be features"),
        (["~meta.source", "+meta.source=null"], "meta.path needs the pictures"),
        (["meta.pictures=1"], "meta.pictures must be at least 2"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(tmp_path, overrides, sentence):
    with pytest.raises((ConfigError, DataError), match=sentence):  # noqa: PT012 (any of the three)
        made = experiment(tmp_path, *overrides).opened()
        learn_from_records(made, made.pool)


def test_other_meta_training_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="learns from records, not by searching"):
        check(composed("algorithm=metad2a", "meta=leave_one_out"), [CONF / "task"])
    with pytest.raises(ConfigError, match="learns by searching, which the records of"):
        check(composed("algorithm=catch", "meta=metad2a_database"), [CONF / "task"])
    with pytest.raises(ConfigError, match="cannot be meta-trained: use meta=none"):
        check(composed("algorithm=rea", "meta=metad2a_database"), [CONF / "task"])


def test_records_opened_for_another_target_leave_the_first_as_they_were():
    made = pool()
    recipe = copy.deepcopy(vars(made))
    first = opened(made)
    before = first.label, dict(first.files), first.shipped
    opened(made, target="cifar100")
    assert (first.label, dict(first.files), first.shipped) == before
    assert {**vars(made), "features": None} == {**recipe, "features": None}


def test_published_records_are_of_one_space_and_need_rows_of_classes():
    with pytest.raises(UnsupportedError, match="are of space=nb201, not of toy"):
        opened(pool(), ToySpace())
    pixels = check(composed("algorithm=metad2a", "features=pixels"), [CONF / "task"])
    with pytest.raises(UnsupportedError, match="use features=efficientnet_lite0"):
        replace(pixels, evaluator=ToyEvaluator()).meta.pool.features.class_rows()


def test_published_files_that_are_missing_or_others_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"meta_train_task_lst\.pt is not there: put MetaD2A's"):
        opened(pool(data_dir=str(tmp_path))).records()
    (tmp_path / "metad2a").mkdir()
    for name in FILES:
        (tmp_path / "metad2a" / name).write_bytes(b"something else")
    with pytest.raises(DataError, match="not the published file"):
        opened(pool(data_dir=str(tmp_path))).records()


@pytest.mark.data
def test_the_published_records(data_dir):
    records = opened(pool(data_dir=str(data_dir))).records()
    assert len(records.archs) == 4630
    assert records.held_out.sum() == 400
    assert len(np.unique(records.dataset)) == 3031
    assert len(np.unique(records.archs, axis=0)) == 1553
    for rows in (slice(4152), slice(4152, None)):
        assert records.score[rows].mean() == pytest.approx(0, abs=1e-9)
        assert records.score[rows].std() == pytest.approx(1)
    # Class 1 of the development kit is the kit fox, n02119789: 279th of the sorted ids.
    assert records.features[0].tolist() == [[278.0]]


@pytest.mark.data
def test_the_published_accuracies(data_dir):
    """The figures of the first record, and what is known of all of them."""
    found = read(data_dir / "metad2a")
    assert found.cells[0].startswith("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|")
    assert found.accuracy[0] == pytest.approx(74.8)
    assert found.accuracy.mean() == pytest.approx(71.587, abs=0.001)
    assert found.task[0] == 3890
    assert found.classes.shape == (5000, 20)
    assert (found.classes.min(), found.classes.max()) == (0, 599)
    steps = found.accuracy[found.judgement == 0] / 0.2
    np.testing.assert_allclose(steps, steps.round(), atol=1e-4)


def test_classes_stand_in_two_orders():
    names = development_kit()
    assert len(set(names)) == 1000
    assert (names[0], names[1], names[-1]) == ("n02119789", "n02100735", "n03255030")
    rows = sorted_rows()
    assert [sorted(names)[row] for row in rows] == list(names)


def test_scores_are_standardised_within_a_group():
    scores = standardised(np.array([1.0, 3.0, 10.0, 10.0]), np.array([0, 0, 1, 1]))
    assert scores.tolist() == [-1.0, 1.0, 0.0, 0.0]


def test_the_classes_of_a_task():
    assert classes_of("in16[55,64]") == (55, 64)


def test_what_comes_along_serves_the_same_settings_alone(tmp_path):
    arrays = {"w": np.array([1.0, 0.1], np.float32), "n": np.array([3])}
    ship(Artifact("k", arrays, {"cpu_s": 2.0}), {"a": 1}, tmp_path / "x.safetensors")
    found = shipped(tmp_path / "x.safetensors", {"a": 1})
    assert found.cost == {"cpu_s": 2.0}
    assert found.arrays["w"].tolist() == np.float16([1.0, 0.1]).astype(np.float32).tolist()
    assert found.arrays["n"].tolist() == [3]
    assert shipped(tmp_path / "x.safetensors", {"a": 2}) is None
    assert shipped(tmp_path / "y.safetensors", {"a": 1}) is None
    whole = bytearray((tmp_path / "x.safetensors").read_bytes())
    whole[-1] ^= 1
    (tmp_path / "x.safetensors").write_bytes(whole)
    with pytest.raises(DataError, match="is damaged: install nasrun again"):
        shipped(tmp_path / "x.safetensors", {"a": 1})


def test_a_networks_settings_and_its_records_decide_what_is_fetched(tmp_path):
    def inputs(name, *more):
        made = experiment(tmp_path, *more).opened()
        return inputs_of(made, made.pool, name)

    generator, predictor = inputs("generator"), inputs("predictor")
    assert inputs("generator", "algorithm.pick=oracle", "task.classes=3") == generator
    other = "algorithm.predictor.epochs=3"
    assert inputs("generator", other) == generator
    assert inputs("predictor", other) != predictor
    assert inputs("generator", "features.px=3") != generator
    table(tmp_path, tasks=["others[2,3]"])
    assert inputs("generator") != generator
