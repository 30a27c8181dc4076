import numpy as np
import pytest

from nasrun.errors import DataError
from nasrun.report.published_figures import COLUMNS, FOLDER, read_published

HEADER = ",".join(COLUMNS)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_every_shipped_file_reads_and_names_its_sources(path):
    found = read_published(path.stem, "test_acc_pct")
    assert found
    assert all(figure.source and 0 < figure.mean < 100 for figure in found.values())


def test_the_baselines_are_those_of_the_paper():
    found = read_published("nb201_baselines", "test_acc_pct")
    means = {
        name: (found[name, "cifar10", "cifar10"].mean, found[name, "cifar10", "cifar100"].mean)
        for name in ("random", "rea", "reinforce", "bohb")
    }
    assert means == {
        "random": (93.70, 71.04), "rea": (93.92, 71.84), "reinforce": (93.85, 71.71),
        "bohb": (93.61, 70.85),
    }  # fmt: skip


def test_a_users_own_file_and_its_gaps(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER}\nrea,a,b,acc,,93.5,,me\nrea,a,b,other,1,2,3,me\n")
    (figure,) = read_published(str(path), "acc").values()
    assert figure.mean == 93.5
    assert np.isnan([figure.std, figure.n]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "the header is"),
        (f"{HEADER}\nrea,a,b,acc,1,x,3,me\n", "line 2: n, mean and std must be numbers"),
        (f"{HEADER}\nrea,a,b,acc,1,2\n", "line 2: not as many cells"),
        (f"{HEADER}\nrea,a,b,acc,1,2,3,me\nrea,a,b,acc,1,2,3,me\n", "line 3: .* a second time"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_published(str(path), "acc")


@pytest.mark.parametrize("name", ["nb201", "nowhere.csv"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(DataError, match=r"nb201_baselines|cannot be read"):
        read_published(name, "acc")
