import json
from itertools import product

import numpy as np
import pytest

from nasrun.benchmarks import nb_macro
from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column
from nasrun.errors import DataError
from nasrun.evaluators.tabular import Tabular
from nasrun.spaces.nb_macro import NBMacro
from nasrun.spec import Task
from nasrun.streams import Streams

SPACE = NBMacro()
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
ARCHS = ["".join(digits) for digits in product("012", repeat=8)]


def official(archs=ARCHS):
    """What the file holds, as its authors' collect_benchmark.py puts it together."""
    records = {}
    for number, arch in enumerate(archs):
        runs = [80 + number / 1000, 81 + number / 1000, 82 + number / 1000]
        records[arch] = {
            "test_acc": runs, "mean_acc": np.mean(runs), "std": np.std(runs),
            "params": 367_978, "flops": 12_345_678,
        }  # fmt: skip
    return records


def written(tmp_path, content):
    path = tmp_path / "nas-bench-macro_cifar10.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_three_runs_are_read_as_an_oracles_and_as_final_scores(tmp_path):
    frame = nb_macro.read(written(tmp_path, official(ARCHS[:2])))
    assert list(frame.archs) == ARCHS[:2]
    for metric, dataset in (("val_score", "cifar10-test-oracle"), ("test_score", "cifar10")):
        second = frame.columns[Column(metric, dataset, 50, 50, "2")]
        np.testing.assert_allclose(second, [81, 81.001])


def test_a_search_says_that_it_is_an_oracles(tmp_path):
    names = {"cifar10": ["cifar10-test-oracle", "cifar10"]}
    source = Source("nb_macro", "nb_macro", [str(written(tmp_path, official()))], datasets=names)
    session = Tabular(tables={"t": source}, cache_dir=str(tmp_path)).opened(SPACE, TASK)
    assert session.protocol.split == "cifar10-test-oracle"
    archs = np.array([SPACE.parse(ARCHS[5])])
    measured = session.evaluate(archs, epochs=np.array([50]), streams=Streams([0]))
    np.testing.assert_allclose(measured.score, [81.005], rtol=1e-6)
    np.testing.assert_allclose(session.score(archs, TASK).test_score, [81.005], rtol=1e-6)


def test_a_network_that_is_not_listed_has_the_row_of_its_other_string(tmp_path):
    """As the benchmark was trained: 3,969 networks, in the file once each."""
    source = Source("nb_macro", "nb_macro", [str(written(tmp_path, official(["01020010"])))],
                    datasets={"cifar10": ["cifar10-test-oracle", "cifar10"]})  # fmt: skip
    session = Tabular(tables={"t": source}, cache_dir=str(tmp_path)).opened(SPACE, TASK)
    asked = np.array([SPACE.parse(text) for text in ("01002001", "01001002")])
    score = session.evaluate(asked, epochs=np.array([50, 50]), streams=Streams([0, 1])).score
    np.testing.assert_allclose(score, [81, np.nan])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "not NAS-Bench-Macro's JSON"),
        ('{"00000000": {"test_acc": [1.0', "not NAS-Bench-Macro's JSON"),
        ({"00000000": {"mean_acc": 80}}, "KeyError: 'test_acc'"),
        ({"00000000": {"test_acc": [80, 81], "mean_acc": 80.5}}, "expected 3 runs"),
        ({"00000000": {"test_acc": [80, 81, 82], "mean_acc": 71}}, "the mean of 00000000 is 71"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        nb_macro.read(written(tmp_path, content))
