"""Programs without what cannot change their answers."""

import numpy as np
import pytest
from test_interpreter import MEMORY, SIZES, D, F, examples

from nasrun.programs.effective import effective
from nasrun.programs.interpreter import Interpreter
from nasrun.programs.program import read
from nasrun.spaces.programs import Programs
from nasrun.streams import Streams

SIX = ["const_s", "dot", "sub_s", "mul_s", "scale_v", "add_v"]


@pytest.mark.parametrize(
    ("setup", "predict", "learn", "left"),
    [
        # Overwritten, never read, or read by nothing that is.
        ("s2=const_s(1);s2=const_s(2);s3=const_s(3);", "s1=add_s(s2,s2);v3=add_v(v0,v0);", "",
         "setup{s2=const_s(2);}predict{s1=add_s(s2,s2);}learn{}"),
        # What is learnt from one example is needed at the next one.
        ("", "s1=dot(v0,v1);", "s1=sub_s(s0,s1);v2=scale_v(s1,v0);v1=add_v(v1,v2);",
         "setup{}predict{s1=dot(v0,v1);}learn{s1=sub_s(s0,s1);v2=scale_v(s1,v0);v1=add_v(v1,v2);}"),
        # An answer that lasts from example to example, even where nothing is learnt.
        ("s2=const_s(1);", "s1=add_s(s1,s2);s3=add_s(s1,s1);", "s2=add_s(s2,s4);",
         "setup{s2=const_s(1);}predict{s1=add_s(s1,s2);}learn{s2=add_s(s2,s4);}"),
        # A constant in one place of a vector leaves what stood in the others.
        ("v1=broadcast(s2);v1=const_v(0.1,2);", "s1=dot(v0,v1);", "",
         "setup{v1=broadcast(s2);v1=const_v(0.1,2);}predict{s1=dot(v0,v1);}learn{}"),
        # Random numbers hang on the place.
        ("s4=const_s(1);v1=gauss_v(0,1);", "s1=dot(v0,v1);", "s3=add_s(s1,s1);",
         "setup{nothing();v1=gauss_v(0,1);}predict{s1=dot(v0,v1);}learn{nothing();}"),
    ],
)  # fmt: skip
def test_what_is_of_no_effect_is_left_out(setup, predict, learn, left):
    program = read(f"setup{{{setup}}}predict{{{predict}}}learn{{{learn}}}", SIZES)
    assert effective(program).text == left


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize(
    "fields",
    [{"most": [7, 8, 9]}, {**dict.fromkeys(("setup", "predict", "learn"), SIX), "most": [9, 2, 8]}],
)
def test_answers_stay_the_same_to_the_bit(fields, squash):
    space = Programs(*SIZES.values(), **fields)
    programs = space.programs(space.sample(Streams(range(400))))
    short = [effective(program) for program in programs]
    whole, rest = (
        Interpreter(some, MEMORY, D, F, 5).run(examples(6), squash) for some in (programs, short)
    )
    for one, other in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(one, other)
    lines = [sum(line.name != "nothing" for part in one for line in part) for one in short]
    assert 0 < sum(lines) < 0.5 * sum(len(part) for one in programs for part in one)
