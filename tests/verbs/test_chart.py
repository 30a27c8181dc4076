import numpy as np

from nasrun.report.jobs import Curve
from nasrun.verbs.chart import HEIGHT, chart


def curve(*mean):
    y = np.array(mean, float)
    return Curve(np.arange(1.0, len(y) + 1), y, y, y)


def test_a_curve_rises_from_the_lowest_line_to_the_highest():
    lines = chart({"rea": curve(*np.linspace(50, 60, 11))}, 40)
    assert len(lines) == HEIGHT + 2
    assert all(len(line) <= 40 for line in lines)
    assert lines[0].startswith("60.00 |")
    assert lines[0].endswith("*")
    assert lines[-1].endswith("11 evaluations")
    places = [line.rindex("*") for line in lines[:HEIGHT] if "*" in line]
    assert places == sorted(places, reverse=True)


def test_two_curves_have_marks_and_a_legend():
    lines = chart({"rea": curve(1, 2, 3), "random": curve(1, 1, 2)}, 40)
    assert [line.strip() for line in lines[-2:]] == ["* rea", "o random"]
    assert "*" in lines[0]
    assert "o" not in lines[0]


def test_a_flat_curve_and_none_at_all():
    assert any("*" in line for line in chart({"rea": curve(5, 5, 5)}, 40))
    assert chart({}, 40) == []
    assert chart({"rea": curve()}, 40) == []
