from types import SimpleNamespace

import pytest
import torch

from nasrun.algorithms.gdas import GDAS
from nasrun.algorithms.one_shot import CHECKPOINT
from nasrun.errors import DataError
from nasrun.nets.checkpoint import load_checkpoint, save_checkpoint


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more", b"\x80\x02.", bytes(1000)])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a checkpoint") as refusal:
        load_checkpoint(path)
    assert "\n" not in str(refusal.value)


def test_a_file_of_something_else_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "a.pt")
    with pytest.raises(DataError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("state", [{}, {"records": 3, "parts": {}}, {"records": []}])
def test_a_search_does_not_go_on_from_another_ones_checkpoint(tmp_path, state):
    save_checkpoint(tmp_path / CHECKPOINT, state)
    algorithm = GDAS()
    algorithm.problem = SimpleNamespace(folder=tmp_path)
    algorithm.network = algorithm.weight_optimizer = torch.nn.Linear(1, 1)
    algorithm._kept = {}
    with pytest.raises(DataError, match="the checkpoint of another search") as refusal:
        algorithm._load()
    assert "\n" not in str(refusal.value)
