"""Instructions against formulas of their own, and whole programs against a plain loop."""

import numpy as np
import pytest

from nasrun.programs.instructions import INSTRUCTIONS
from nasrun.programs.interpreter import Examples, Interpreter, Memory
from nasrun.programs.program import read
from nasrun.spaces.programs import Programs
from nasrun.streams import Streams

F, D = 3, 2
SIZES = {"s": 5, "v": 4, "m": 3}
MEMORY = Memory(*SIZES.values())
LINEAR = (
    "setup{s3=const_s(0.05);}predict{s1=dot(v0,v1);}"
    "learn{s2=sub_s(s0,s1);s2=mul_s(s2,s3);v2=scale_v(s2,v0);v1=add_v(v1,v2);}"
)


def interpreter(*texts, tasks=D, seed=5):
    return Interpreter([read(text, SIZES) for text in texts], MEMORY, tasks, F, seed)


# One task's scalars, vectors and matrices at a time: plain formulas.
FORMULAS = {
    **{f"{name}_{kind}": formula for kind in "svm" for name, formula in {
        "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b, "min": lambda a, b: np.where(a < b, a, b),
        "max": lambda a, b: np.where(a > b, a, b),
        "abs": lambda a: np.where(a < 0, -a, a), "inv": lambda a: 1 / a,
    }.items()},
    "step_s": lambda a: 1.0 * (a >= 0), "step_v": lambda a: 1.0 * (a > 0),
    "step_m": lambda a: 1.0 * (a > 0),
    "sin_s": np.sin, "cos_s": np.cos, "tan_s": np.tan, "asin_s": np.arcsin, "acos_s": np.arccos,
    "atan_s": np.arctan, "exp_s": np.exp, "log_s": np.log,
    "norm_v": np.linalg.norm, "norm_m": np.linalg.norm, "mean_v": np.mean, "mean_m": np.mean,
    "std_v": np.std, "std_m": np.std,
    "row_norm": lambda m: np.array([np.linalg.norm(row) for row in m]),
    "column_norm": lambda m: np.array([np.linalg.norm(column) for column in m.T]),
    "row_mean": lambda m: np.array([np.mean(row) for row in m]),
    "row_std": lambda m: np.array([np.std(row) for row in m]),
    "broadcast": lambda s: np.full(F, s), "rows": lambda v: np.array([v] * F),
    "columns": lambda v: np.array([v] * F).T, "transpose": lambda m: m.T,
    "scale_v": lambda s, v: s * v, "scale_m": lambda s, m: s * m, "dot": np.dot,
    "outer": np.outer, "matvec": lambda m, v: m @ v, "matmul": lambda a, b: a @ b,
}  # fmt: skip


def test_there_are_65_instructions():
    assert len(INSTRUCTIONS) == 65
    setters = {name for name in INSTRUCTIONS if name.startswith(("const", "gauss", "uniform"))}
    assert len(setters) == 9
    assert FORMULAS.keys() == INSTRUCTIONS.keys() - setters - {"nothing"}


@pytest.mark.parametrize("name", FORMULAS)
def test_an_instruction_does_what_its_formula_says(name):
    kind, rng = INSTRUCTIONS[name], np.random.default_rng(1)
    given = [f"{one}{at + (one != 'm')}" for at, one in enumerate(kind.inputs)]
    text = f"setup{{{kind.output}2={name}({','.join(given)});}}predict{{}}learn{{}}"
    made = interpreter("setup{}predict{}learn{}", text)
    for part in made._parts.values():
        part[:] = rng.uniform(-0.9, 0.9, part.shape)
        part[::4] = 0.0  # where steps differ
    before = {one: part.copy() for one, part in made._parts.items()}
    with np.errstate(all="ignore"):
        made._do("setup", 0)
        for task in range(D):
            places = [SIZES[one[0]] + int(one[1:]) for one in given]
            inputs = [before[one][at, task] for one, at in zip(kind.inputs, places, strict=True)]
            found = made._parts[kind.output][SIZES[kind.output] + 2, task]
            np.testing.assert_allclose(found, FORMULAS[name](*inputs), rtol=1e-12)
    for one, part in made._parts.items():  # nothing else has changed
        changed = (part != before[one]) & ~(np.isnan(part) & np.isnan(before[one]))
        rows = set(np.flatnonzero(changed.reshape(len(part), -1).any(axis=1)).tolist())
        assert rows <= ({SIZES[one] + 2} if one == kind.output else set())


def test_setters():
    text = "setup{s2=const_s(0.5);v2=const_v(0.99,-1);m2=const_m(0.34,0,2);"
    text += "v1=gauss_v(10,0.1);s3=uniform_s(3,2);m0=uniform_m(-1,1);}predict{}learn{}"
    made, again = interpreter(text), interpreter("setup{}predict{}learn{}", text)
    for one in (made, again):
        one._do("setup", 0)
    parts = made._parts
    assert parts["s"][2].tolist() == [0.5, 0.5]
    assert parts["v"][2].tolist() == [[0.0, 0.0, -1.0]] * D
    expected = np.zeros((F, F))
    expected[1, 0] = 2.0
    assert (parts["m"][2] == expected).all()
    assert (abs(parts["v"][1] - 10) < 0.5).all()
    assert (np.std(parts["v"][1]) > 0).all()
    assert ((parts["s"][3] >= 2) & (parts["s"][3] <= 3)).all()
    assert len(np.unique(parts["m"][0])) == D * F * F
    for kind, part in parts.items():  # the same among others
        np.testing.assert_array_equal(again._parts[kind][SIZES[kind] :], part)


def examples(n=12):
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((2, D, n, F)), rng.standard_normal((D, F))
    y = np.einsum("pdnf,df->pdn", x, w)
    return Examples(x[0], y[0], x[1], y[1])


@pytest.mark.parametrize("squash", [False, True])
def test_a_linear_regression_is_learnt_as_in_a_plain_loop(squash):
    shown = examples()
    ran = interpreter(LINEAR).run(shown, squash)
    for task in range(D):
        w = np.zeros(F)
        for phase, (x, y) in enumerate((shown[:2], shown[2:])):
            for at in range(x.shape[1]):
                answer = w @ x[task, at]
                answer = 1 / (1 + np.exp(-answer)) if squash else answer
                np.testing.assert_allclose((ran.train, ran.valid)[phase][0, task, at], answer)
                if not phase:
                    w += 0.05 * (y[task, at] - answer) * x[task, at]
    assert not ran.failed.any()


def test_the_label_is_not_to_be_seen_while_predicting():
    ran = interpreter("setup{}predict{s1=add_s(s0,s0);}learn{}").run(examples(), squash=False)
    assert (ran.train == 0).all()
    assert (ran.valid == 0).all()


def test_memory_lasts_from_example_to_example_in_both_parts():
    ran = interpreter(
        "setup{s2=const_s(1);}predict{s3=add_s(s3,s2);s1=add_s(s3,s4);}learn{s4=add_s(s4,s2);}"
    ).run(examples(), squash=False)
    assert ran.train[0, 0].tolist() == [2 * at + 1 for at in range(12)]
    assert ran.valid[0, 0].tolist() == [25 + at for at in range(12)]


@pytest.mark.parametrize(
    "bad", ["s1=inv_s(s2);", "s1=log_s(s2);s1=sub_s(s1,s1);", "s1=add_s(s3,s3);"]
)
def test_programs_go_astray_by_errors_above_100_or_no_number(bad):
    setup = "s3=const_s(99);"
    made = interpreter(f"setup{{{setup}}}predict{{{bad}}}learn{{}}", LINEAR)
    assert made.run(examples(), squash=False).failed.tolist() == [[True, True], [False, False]]


def test_programs_do_not_touch_each_other():
    """What each of many random ones answers is what it answers alone, to the bit."""
    space = Programs(*SIZES.values(), most=[4, 5, 6])
    programs = space.programs(space.sample(Streams(range(40))))
    shown = examples(6)
    together = Interpreter(programs, MEMORY, D, F, 5).run(shown, squash=False)
    assert 0 < together.failed.all(axis=1).sum() < 40
    for at, program in enumerate(programs):
        alone = Interpreter([program], MEMORY, D, F, 5).run(shown, squash=False)
        np.testing.assert_array_equal(alone.train[0], together.train[at])
        np.testing.assert_array_equal(alone.valid[0], together.valid[at])
        np.testing.assert_array_equal(alone.failed[0], together.failed[at])
