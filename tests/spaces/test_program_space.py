"""Programs as texts, and their mutations one by one."""

from collections import Counter

import numpy as np
import pytest

from nasrun.errors import ConfigError
from nasrun.programs.program import FUNCTIONS
from nasrun.spaces.programs import Programs, _place
from nasrun.streams import Streams

SMALL = {"scalars": 4, "vectors": 3, "matrices": 1}
TEXT = "setup{s2=const_s(0.5);}predict{s1=dot(v0,v1);}learn{v1=scale_v(s0,v0);nothing();}"


def mutants(space, text, n=400):
    archs = np.repeat(space.parse(text)[None], n, axis=0)
    return space.programs(space.mutate(archs, Streams(range(n))))


def test_what_is_read_has_six_digits():
    space = Programs()
    assert space.read(TEXT.replace("0.5", "0.50000001")) == TEXT


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("s2=const_s(v0);", "expected s = const_s"),
        ("s2=dot(v0,0.5);", "expected s = dot"),
        ("v2=dot(v0,v1);", "expected s = dot"),
        ("s2=dot(v0,v3);", "there is no v3"),
        ("s0=dot(v0,v1);", "s0 is given and may not be written"),
        ("v0=scale_v(s0,v1);", "v0 is given and may not be written"),
        ("v2=const_v(1,0.5);", r"expected a place in \[0, 1\), got 1"),
        ("v2=const_v(-0.5,0.5);", r"expected a place in \[0, 1\), got -0.5"),
        ("s2=nonsense(v0);", "expected one of nothing, const_s"),
    ],
)
def test_what_is_no_program_is_refused(wrong, why):
    with pytest.raises(ConfigError, match=why):
        Programs(**SMALL).parse(TEXT.replace("s1=dot(v0,v1);", wrong))


def test_a_mutation_changes_one_thing_of_one_function():
    """An argument, an instruction, a function, or one more or less; each as often."""
    space = Programs(**SMALL, most=[3, 3, 3])
    [program] = space.programs(space.parse(TEXT)[None])
    seen = Counter()
    for mutant in mutants(space, TEXT):
        [at] = [at for at in range(3) if mutant[at] != program[at]]
        seen[FUNCTIONS[at]] += 1
        seen[len(mutant[at]) - len(program[at])] += 1
    assert all(80 < seen[name] < 190 for name in FUNCTIONS)
    assert 50 < seen[1] < 130  # a fifth, less those that changed nothing and were drawn again
    assert 50 < seen[-1] < 130


def test_sizes_and_instructions_are_those_allowed():
    learn = ["add_v", "scale_v"]
    space = Programs(**SMALL, least=[2, 1, 3], most=[2, 1, 4], learn=learn, mutable=["learn"])
    archs, streams = space.sample(Streams(range(30))), Streams(range(30), "more")
    for program in space.programs(archs):
        assert {line.name for line in program.learn} <= set(learn)
    before = space.programs(archs)
    for _ in range(10):
        archs = space.mutate(archs, streams)
    for old, new in zip(before, space.programs(archs), strict=True):
        assert old[:2] == new[:2]
        assert 3 <= len(new.learn) <= 4


def test_constants_move_by_their_size():
    space = Programs(**SMALL, setup=["const_s"], least=[1, 0, 0], most=[1, 0, 0], mutable=["setup"])
    text = "setup{s2=const_s(0.5);}predict{}learn{}"
    constants = np.array([one.setup[0].constants[0] for one in mutants(space, text)])
    assert (constants == -0.5).sum() > 1  # the sign alone
    assert (constants > 1).sum() > 10  # beyond the range of fresh ones
    assert (constants == 0.5).sum() > 20  # the address alone


def test_evolution_can_begin_with_a_program():
    space = Programs(**SMALL, start=TEXT)
    assert space.text(np.array([0])) == space.minimal == TEXT
    texts = {space.text(arch) for arch in space.sample(Streams(range(20)))}
    assert TEXT not in texts
    assert len(texts) > 15


def test_a_start_is_one_program_however_it_is_written():
    space = Programs(**SMALL, start=TEXT.replace("0.5", "0.50"))
    assert space.minimal == TEXT
    assert space.parse(TEXT).tolist() == [0]


def test_a_place_that_would_be_rounded_up_stays_inside():
    assert _place(lambda: 1 - 1e-9) == 0.999999
    assert _place(lambda: 0.25) == 0.25


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"learn": ["adds"]}, "space.learn names 'adds'"),
        ({"mutable": ["test"]}, "space.mutable names 'test'"),
        ({"mutable": []}, "must name a function"),
        ({"least": [3, 0, 0], "most": [2, 1, 1]}, "none of least above that of most"),
        ({"most": [0, 0, 0]}, "a mutation must have something to change in setup or predict"),
        (
            {"mutable": ["setup"], "setup": ["nothing"], "least": [2, 0, 0], "most": [2, 1, 1]},
            "something to change in setup: set space.most",
        ),
        (
            {
                "mutable": ["setup"],
                "setup": ["transpose"],
                "least": [1, 0, 0],
                "most": [1, 1, 1],
                "matrices": 1,
            },
            "something to change in setup",
        ),
        ({"start": "setup{}"}, "expected predict{ at character 8"),
    ],
)
def test_senseless_fields_are_refused(fields, why):
    with pytest.raises(ConfigError, match=why):
        Programs(**fields)
