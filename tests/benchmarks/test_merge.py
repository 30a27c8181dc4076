import numpy as np
import pytest
from toys import ToySpace

from nasrun.benchmarks.merge import Merge, mean_over_runs
from nasrun.benchmarks.rows import ArchRows, figures_at
from nasrun.benchmarks.table import Column, Frame
from nasrun.errors import DataError

SPACE = ToySpace((2, 2))  # texts 00, 01, 10, 11
ACC = Column("val_score", "a", 12, 12, "mean")
SECONDS = Column("train_s", "a", 12, 12, "mean")


def merged(*frames):
    merge = Merge(SPACE)
    for name, frame in zip("ABC", frames, strict=False):
        merge.add(name, frame)
    return merge


def frame(archs, **figures):
    columns = {
        "acc": ACC,
        "seconds": SECONDS,
        "run1": ACC._replace(run="1"),
        "run2": ACC._replace(run="2"),
    }
    return Frame(archs, {columns[key]: np.array(values, float) for key, values in figures.items()})


def by_number(merge, column):
    """Figures in the order of the space's numbers."""
    rows = ArchRows(SPACE, merge.archs).exact(SPACE.at(np.arange(SPACE.size)))
    return figures_at(merge.columns()[column], rows).astype(np.float32)


def test_figures_are_found_whatever_the_order_of_the_file():
    merge = merged(frame(["11", "00"], acc=[80, 50]))
    np.testing.assert_array_equal(by_number(merge, ACC), np.float32([50, np.nan, np.nan, 80]))
    assert merge.columns()[ACC].dtype == np.float32


def test_the_first_source_wins_and_later_ones_fill_gaps():
    merge = merged(frame(["00", "01"], acc=[50, 60]), frame(["01", "10"], acc=[60.005, 70]))
    np.testing.assert_array_equal(by_number(merge, ACC), np.float32([50, 60, 70, np.nan]))
    assert merge.conflicts == []


def test_a_disagreement_beyond_rounding_is_told():
    merge = merged(
        frame(["00", "01", "10"], acc=[50, 60, 70], seconds=[1, 1, 1]),
        frame(["00", "01", "10"], acc=[50, 60.5, 70.01], seconds=[1.0005, 1.01, 1]),
    )
    accuracy, seconds = merge.conflicts
    assert accuracy == (
        "A and B disagree on val_score/a/12of12/mean for 2 of 3 shared architectures, at worst "
        "60 against 60.5 for 01; the former is used"
    )
    assert "train_s/a/12of12/mean for 1 of 3" in seconds
    np.testing.assert_array_equal(by_number(merge, ACC)[:3], np.float32([50, 60, 70]))


def test_gross_disagreement_is_refused():
    """Scores of another split; seconds may differ, because machines do."""
    good = frame(["00", "01", "10"], acc=[50, 60, 70], seconds=[1, 1, 1])
    with pytest.raises(DataError, match=r"A and B disagree .* they are not the same figures"):
        merged(good, frame(["00", "01", "10"], acc=[5, 6, 7]))
    assert len(merged(good, frame(["00", "01", "10"], seconds=[9, 9, 9])).conflicts) == 1
    assert len(merged(good, frame(["00", "01", "10"], acc=[50, 60, 90])).conflicts) == 1


def test_a_third_source_is_compared_with_both():
    merge = merged(
        frame(["00"], acc=[50]), frame(["01"], acc=[60]), frame(["00", "01", "10"], acc=[50, 61, 0])
    )
    assert "A and B and C disagree" in merge.conflicts[0]


def test_means_are_derived_from_runs_where_there_are_only_runs():
    merge = merged(frame(["00", "01", "10"], run1=[1, 2, np.nan], run2=[2, np.nan, np.nan]))
    np.testing.assert_array_equal(by_number(merge, ACC), np.float32([1.5, 2, np.nan, np.nan]))
    given = merged(frame(["00"], run1=[1], acc=[1.25]))
    assert given.columns()[ACC][0] == 1.25


def test_a_single_run_does_not_stand_in_the_way_of_a_mean():
    merge = merged(frame(["00", "01"], run1=[50, 60]), frame(["00"], acc=[51]))
    np.testing.assert_array_equal(by_number(merge, ACC)[:2], np.float32([51, 60]))
    assert merge.conflicts == []
    two = merged(frame(["00"], run1=[50], run2=[51]), frame(["00"], acc=[51]))
    assert two.columns()[ACC][0] == 50.5
    assert "disagree" in two.conflicts[0]


def test_means_are_taken_in_double_precision():
    runs = np.array([[91.684], [91.72], [91.684]])
    assert mean_over_runs(runs)[0] == np.mean(runs[:, 0])


def test_bad_architectures_are_refused():
    with pytest.raises(DataError, match=r"tables\.A: expected each architecture once, found 01"):
        merged(frame(["01", "00", "01"], acc=[1, 2, 3]))


def test_a_frame_without_texts_covers_the_space():
    whole = np.arange(4.0)
    np.testing.assert_array_equal(merged(frame(None, acc=whole)).columns()[ACC], whole)


def test_the_tolerance_is_that_of_the_metric():
    """0.001 is nothing between accuracies, and much between similarities of images."""
    one, other = (frame(["00", "01", "10"], acc=[0.5, 0.6, 0.7 + d]) for d in (0.0, 0.001))
    per_cent = [frame(["00", "01", "10"], acc=[50.0, 60.0, 70.0 + d]) for d in (0.0, 0.001)]
    assert merged(*per_cent).conflicts == []
    merge = Merge(SPACE)
    for name, own in zip("AB", (one, other), strict=True):
        merge.add(name, own, {"a": "ssim"})
    [conflict] = merge.conflicts
    assert "for 1 of 3 shared architectures, at worst 0.7 against 0.701" in conflict
    far = frame(["00", "01", "10"], acc=[0.52, 0.62, 0.72])
    with pytest.raises(DataError, match="they are not the same figures"):
        merge.add("C", far, {"a": "ssim"})
