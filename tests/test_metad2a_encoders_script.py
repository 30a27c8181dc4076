import importlib.util
from pathlib import Path

import numpy as np

from nasrun.spec import Records

SCRIPT = Path(__file__).parents[1] / "scripts" / "metad2a_encoders.py"


def script():
    spec = importlib.util.spec_from_file_location("metad2a_encoders", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pairs_of_a_task_that_are_not_both_learnt_from():
    """Task 0: (0, 1) both learnt from, (0, 2) right, (1, 2) wrong; task 1: equal scores; task 2."""
    records = Records(
        archs=np.zeros((7, 1), np.int64),
        score=np.array([1.0, 3.0, 2.0, 5.0, 5.0, 0.0, 1.0]),
        dataset=np.array([0, 0, 0, 1, 1, 2, 2]),
        datasets=[(0, 1)] * 3,
        features=np.zeros((2, 1, 1), np.float32),
        held_out=np.array([False, False, True, True, True, True, False]),
    )
    predicted = np.array([0.0, 1.0, 2.0, 3.0, 4.0, -9.0, 9.0])
    assert script().pairs_in_order(predicted, records) == (2, 3)
