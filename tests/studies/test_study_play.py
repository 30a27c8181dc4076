from math import nan

import pytest

from nasrun.record.recorder import Recorder
from nasrun.report.studied import Finding
from nasrun.studies.base import Study
from nasrun.studies.play import _measured

FOUND = [Finding("a", "b", "c", 3, 1 / 3), Finding("a", "b", "d", 4, nan, 0.1, 2 / 3)]


class InParts(Study):
    """Two parts, the second of which fails until it may succeed."""

    name, title, notes = "toy", "Toy", []

    def __init__(self):
        self.begun, self.fails = [], True

    def measured(self, opened):
        raise NotImplementedError

    def parts(self, opened):
        return [lambda: self._part(0), lambda: self._part(1)]

    def _part(self, place):
        self.begun.append(place)
        if place and self.fails:
            raise KeyboardInterrupt
        yield FOUND[place]


def test_a_study_that_is_stopped_keeps_the_parts_that_it_had(tmp_path):
    study = InParts()
    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path, "same") as recorder:
        _measured(study, None, recorder)
    study.fails = False
    with Recorder(tmp_path, "same") as recorder:
        found = _measured(study, None, recorder)
    assert study.begun == [0, 1, 1]
    assert repr(found) == repr(FOUND)  # to the last digit; NaN equals itself here
