"""scripts/learning_curves.py on a search that was really made."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "learning_curves.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("learning_curves_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def made_up(script, algorithm, seed, accuracies):
    return [
        script.Point("cifar10", algorithm, seed, epoch, "arch", epoch, acc, acc, 10.0, "shared")
        for epoch, acc in enumerate(accuracies, start=1)
    ]


def test_curves_are_drawn_and_summed_up(script):
    found = [
        *made_up(script, "gdas", 0, [80.0, 85.0, 90.0]),
        *made_up(script, "gdas", 1, [82.0, 87.0]),  # cut off: what both have is drawn
        *made_up(script, "darts_v1", 0, [80.0, 60.0, 40.0]),
    ]
    epochs, accuracy = script._by_seed([point for point in found if point.algorithm == "gdas"])
    assert epochs.tolist() == [1, 2]
    np.testing.assert_array_equal(accuracy, [[80.0, 85.0], [82.0, 87.0]])
    pictures = script.figure(found)
    assert pictures["png"].startswith(b"\x89PNG")
    assert pictures["svg"].endswith(b"</svg>\n")
    assert script.summary(found).row_count == 2


def test_a_folder_without_such_searches_is_refused_in_one_sentence(script, tmp_path, capsys):
    assert script.main([str(tmp_path)]) > 0
    assert "has no finished search that shares weights" in capsys.readouterr().err
