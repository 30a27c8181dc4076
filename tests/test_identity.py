import pytest
from omegaconf import OmegaConf

from nasrun.identity import identity


def composed_run(**changes):
    config = OmegaConf.create(
        {
            "seed": 0,
            "trials": 5,
            **{g: {"name": g} for g in ("space", "task", "algorithm", "meta", "budget", "retrain")},
            "evaluator": {"reward": "val@12", "cache_dir": "/a", "tables": {"t": {"paths": ["x"]}}},
            "hardware": {"device": "fpga", "path": "/a/latency.csv"},
            "scorer": None,
            "record": {"evaluations": "csv"},
        }
    )
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value)
    return config


def test_moving_files_to_another_place_keeps_the_identity_of_a_run():
    files = {"table.pkl": "ab12"}
    here = identity(composed_run(), files)
    there = composed_run(
        evaluator__cache_dir="/b", hardware__path="/b", evaluator__tables__t__paths=["y"]
    )
    assert identity(there, files) == here


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"trials": 6},
        {"evaluator__reward": "val@200"},
        {"evaluator__tables__t__seed": 1},  # a synthetic table has no file that would tell
        {"hardware__device": "x"},
    ],
)
def test_whatever_changes_a_result_changes_the_identity(change):
    assert identity(composed_run(**change), {}) != identity(composed_run(), {})
    assert identity(composed_run(), {"table.pkl": "ab12"}) != identity(composed_run(), {})
