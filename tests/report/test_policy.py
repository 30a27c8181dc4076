"""Heat maps of what policies became, from policy.csv."""

import json
import re

import numpy as np
import pytest
from sweeps import job, sweep

from nasrun.errors import DataError
from nasrun.report.experiment import write_report
from nasrun.report.jobs import find_jobs
from nasrun.report.policy import preferences
from nasrun.report.schema import DEFAULT

TABLE = """seed,decision,none,conv,pool
0,0,0.2,0.8,
0,1,0.0,0.0,1.0
1,0,0.4,0.6,
1,1,0.96,0.04,0.0
"""


@pytest.fixture
def folder(tmp_path):
    sweep(tmp_path, {"catch": [93.0, 94.0], "rea": [92.0, 95.0]})
    job(tmp_path / "catch", "catch", [[93.0], [94.0]])
    job(tmp_path / "rea", "rea", [[92.0], [95.0]])
    (tmp_path / "catch" / "policy.csv").write_text(TABLE)
    return tmp_path


def test_probabilities_are_averaged_over_the_trials(folder):
    ((search, found),) = preferences(find_jobs(folder)).items()
    assert search.algorithm == "catch"
    assert found.options == ("none", "conv", "pool")
    np.testing.assert_allclose(found.shares, [[0.3, 0.7, np.nan], [0.48, 0.02, 0.5]])
    assert found.certain.tolist() == [0.0, 1.0]
    assert found.trials == 2


def test_page_and_figure_show_them(folder):
    files = {path.name for path in write_report(folder, DEFAULT).files}
    assert {"report_policy.png", "report_policy.svg"} <= files
    page = (folder / "report.html").read_text(encoding="utf-8")
    found = json.loads(re.search(r'id="charts">(.*?)</script>', page)[1])
    (heat,) = [chart for chart in found if chart["kind"] == "heat"]
    (panel,) = heat["panels"]
    assert panel["title"] == "catch on cifar10, 2 trials"
    assert panel["shares"] == [[0.3, 0.7, None], [0.48, 0.02, 0.5]]
    drawn = (folder / "report_policy.svg").read_text(encoding="utf-8")
    for text in ("conv", "0.70", "decision"):
        assert f">{text}</text>" in drawn


def test_another_programs_file_is_refused(folder):
    (folder / "catch" / "policy.csv").write_text("seed,decision,x\n1,0,word\n")
    with pytest.raises(DataError, match=r"policy.csv: cannot be read"):
        write_report(folder, DEFAULT)


def test_a_search_without_a_policy_has_no_heat_map(folder):
    (folder / "catch" / "policy.csv").unlink()
    write_report(folder, DEFAULT)
    assert '"kind":"heat"' not in (folder / "report.html").read_text(encoding="utf-8")
