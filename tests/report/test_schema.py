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
    assert "report" in config
    assert parse_report(OmegaConf.to_container(config["report"])).name == path.stem


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"colour": "red"}, "report.colour"),
        ({"tolerance": "close"}, "report.tolerance"),
        ({"columns": ["scores"]}, "report.columns"),
        ({"figure": "val_acc_pct"}, "report.figure=val_acc_pct is none of val_score"),
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


def test_a_report_needs_a_name():
    with pytest.raises(ConfigError, match=r"report\.name"):
        parse_report({"title": "t"})
