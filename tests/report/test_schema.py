from pathlib import Path

import pytest
from omegaconf import OmegaConf

from nasrun.errors import ConfigError
from nasrun.report.schema import Column, Figure, parse_report

EXPERIMENTS = sorted((Path(__file__).parents[2] / "conf" / "experiment").glob("*.yaml"))


def test_names_become_columns_and_figures():
    node = {"name": "n", "title": "t", "columns": ["score", "mean_rank"], "figures": ["box"]}
    report = parse_report(node)
    assert report.columns == [Column.score, Column.mean_rank]
    assert report.figures == [Figure.box]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_has_a_sound_report_of_its_own_name(path):
    config = OmegaConf.load(path)
    if "study" in config:  # which has a report of its own
        assert config.study.name == path.stem
        return
    assert "report" in config
    assert parse_report(OmegaConf.to_container(config["report"])).name == path.stem


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"colour": "red"}, "report.colour"),
        ({"tolerance": "close"}, "report.tolerance"),
        ({"columns": ["scores"]}, "report.columns"),
        ({"figure": "val_acc_pct"}, "report.figure=val_acc_pct is none of auto, val_score"),
        ({"columns": ["published"]}, "set published"),
        ({"columns": ["within"], "published": "nb201_baselines"}, "set report.tolerance"),
        ({"columns": ["p_value"]}, "set report.against"),
        ({"columns": ["published_hours"]}, "set report.published"),
        ({"columns": ["first"]}, "set report.first"),
        ({"columns": ["first"], "first": 0}, "set report.first"),
        ({"figures": ["box", "box"]}, "twice"),
        ({"claims": [{"better": "rea"}]}, "report.claims"),
    ],
)
def test_a_wrong_report_is_refused(extra, message):
    with pytest.raises(ConfigError, match=message):
        parse_report({"name": "n", "title": "t", **extra})


@pytest.mark.parametrize(
    "name",
    ["", "../victim/paper", "/tmp/paper", "a/b", "a\\b", ".hidden", "a\nb", "a{b}", "é", "trials",
     "summary", "pareto", "evaluations", "x" * 101],
)  # fmt: skip
def test_a_name_that_is_no_plain_file_name_is_refused(name):
    with pytest.raises(ConfigError, match=r"report\.name='.*' must be a plain file name"):
        parse_report({"name": name})


@pytest.mark.parametrize("key", ["columns", "figures"])
def test_auto_stands_alone(key):
    other = {"columns": "score", "figures": "box"}[key]
    with pytest.raises(ConfigError, match=f"report.{key} has auto among others"):
        parse_report({key: ["auto", other]})
