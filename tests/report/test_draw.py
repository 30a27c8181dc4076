import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrun.errors import ConfigError, DataError
from nasrun.report.draw import (
    DARK,
    LIGHT,
    _components,
    cell_lines,
    cell_picture,
    draw_cell,
    picture_width_in,
    route,
)
from nasrun.report.page import ASSETS

ARCH = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
CELL = [
    ("0", "1", "nor_conv_3x3"),
    ("0", "2", "none"),
    ("1", "2", "nor_conv_1x1"),
    ("0", "3", "skip_connect"),
    ("1", "3", "nor_conv_3x3"),
    ("2", "3", "avg_pool_3x3"),
]
HEADS = {".png": b"\x89PNG\r\n", ".svg": b"<?xml"}
# Any cell of up to six nodes: the first number is the smaller one.
EDGES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 5)).filter(lambda e: e[0] < e[1]),
    min_size=1, max_size=12,
).map(lambda edges: [(str(a), str(b), f"op_{a}{b}") for a, b in edges])  # fmt: skip


@pytest.mark.parametrize("suffix", [".png", ".svg", ".SVG"])
def test_format_by_suffix_and_equal_bytes_for_equal_cells(tmp_path, suffix):
    first, second = tmp_path / f"a{suffix}", tmp_path / "new" / f"b{suffix}"
    draw_cell(CELL, first, ARCH)
    draw_cell(CELL, second, ARCH)
    assert first.read_bytes().startswith(HEADS[suffix.lower()])
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [first.name]


def test_another_process_draws_the_same_bytes(tmp_path):
    files = [tmp_path / "0.svg", tmp_path / "1.svg"]
    for file in files:
        command = [sys.executable, "-m", "nasrun", "draw", ARCH, "--out", str(file)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_svg_has_no_date(tmp_path):
    draw_cell(CELL, tmp_path / "cell.svg")
    assert "dc:date" not in (tmp_path / "cell.svg").read_text()


@given(EDGES)
def test_arcs_never_share_a_lane(edges):
    nodes = sorted({node for edge in edges for node in edge[:2]})
    arcs = route(edges, nodes)
    assert len(arcs) == len(edges)
    for i, one in enumerate(arcs):
        assert one.lane != 0 or one.end - one.start == 1
        for other in arcs[:i]:
            overlap = one.start < other.end and other.start < one.end
            assert not (overlap and one.lane == other.lane)


def test_parallel_edges_and_any_node_names_can_be_drawn(tmp_path):
    edges = [("c_{k-2}", "$n", "sep_conv_5x5"), ("c_{k-2}", "$n", "dil_conv_3x3")]
    draw_cell(edges, tmp_path / "cell.png", "$twice$")
    assert (tmp_path / "cell.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("edges", "name", "words"),
    [
        (CELL, "cell.pdf", r"must end in \.png or \.svg, got 'cell\.pdf'"),
        ([], "cell.png", "without edges"),
        ([("a", "b", "x"), ("b", "a", "x")], "cell.png", "among a, b run in a circle"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, edges, name, words):
    with pytest.raises(ConfigError, match=words):
        draw_cell(edges, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write .*cell\.png"):
        draw_cell(CELL, tmp_path / "file" / "cell.png")


def test_in_the_terminal_an_arrow_a_line_each_node_after_those_that_lead_to_it():
    assert cell_lines([("0", "3", "skip_connect"), ("0", "1", "none"), ("1", "3", "conv")]) == [
        "0 ..none..........> 1",
        "0 --skip_connect--> 3",
        "1 --conv----------> 3",
    ]


def test_cells_that_share_no_node_lie_in_rows_at_their_size():
    """DARTS's two cells side by side would be so wide that nobody could read them."""
    one = [("N-2", "N0", "skip_connect"), ("N-1", "N0", "sep_conv_3x3"), ("N0", "N", "concat")]
    two = [(a.replace("N", "R"), b.replace("N", "R"), name) for a, b, name in one]
    assert picture_width_in([*one, *two]) == picture_width_in(one)
    assert _components([one[0], two[0], one[1], two[1], two[2], one[2]]) == [one, two]


def test_a_long_title_takes_lines_and_keeps_its_size():
    cell = [("0", "1", "conv")]
    drawn = cell_picture(cell, "|".join(["nor_conv_3x3~0"] * 12) + " end").decode()
    lines = re.findall(
        r"font-size: (\S+)px; font-family: 'DejaVu Sans Mono'.*?>(.*?)</text>", drawn
    )
    assert {size for size, _ in lines} == {"10"}
    assert len(lines) > 1
    assert lines[-1][1].endswith("end")


def test_a_dark_page_has_dark_drawings():
    light, dark = (cell_picture([("0", "1", "conv")], theme=theme) for theme in (LIGHT, DARK))
    assert b"#ffffff" in light
    assert b"#ffffff" not in dark
    assert DARK.paper.encode() in dark
    assert DARK.paper in (ASSETS / "page.css").read_text(encoding="utf-8")


def test_operations_are_text_in_svg():
    assert b">nor_conv_3x3</text>" in cell_picture([("0", "1", "nor_conv_3x3")])
