"""Controllers side by side against each by itself."""

import numpy as np
import pytest
import torch

from nasrun.nets.controller import Controller
from nasrun.nets.controller_cohort import CohortAdam, CohortController
from nasrun.spec import Anchors

ARITY = (2, 2, 2, 2, 3, 2)


def legal(prefix):
    """No option is below the one before it, unless there are too few."""
    options, least = np.arange(ARITY[prefix.shape[1]]), prefix.max(axis=1, initial=0)
    return options >= np.minimum(least, len(options) - 1)[:, None]


def anchors():
    points = np.full((6, 3), -1)
    points[2, 1] = 1
    points[4] = (0, 1, 2)
    return Anchors(np.array([1, 2, 2, 3, 3, 3]), points)


def controllers(count, anchored):
    own = anchors() if anchored else None
    with torch.random.fork_rng([]):
        torch.manual_seed(4)
        return [
            Controller(ARITY, 6, layers=2, spread=0.8, anchors=own, nearness=0.1)
            for _ in range(count)
        ]


def generators(count):
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


@pytest.mark.parametrize("anchored", [False, True])
def test_each_draws_and_judges_as_it_does_by_itself(anchored):
    alone = controllers(3, anchored)
    drawn = CohortController(alone).draw(40, generators(3), legal)
    for trial, (own, generator) in enumerate(zip(alone, generators(3), strict=True)):
        wanted = own(40, generator, legal)
        assert torch.equal(drawn.archs[trial], wanted.archs)
        torch.testing.assert_close(drawn.log_p[trial], wanted.log_p)
        torch.testing.assert_close(drawn.entropy[trial], wanted.entropy)
    assert len(drawn.archs.flatten(0, 1).unique(dim=0)) > 10


@pytest.mark.parametrize("anchored", [False, True])
def test_steps_of_adam_are_pytorchs_and_leave_out_who_has_nothing_to_learn(anchored):
    alone = controllers(3, anchored)
    cohort = CohortController(alone)
    adam = CohortAdam(list(cohort.parameters()), 0.05)
    optimisers = [torch.optim.Adam(own.parameters(), 0.05) for own in alone]
    archs = cohort.draw(5, generators(3), legal).archs
    for learning in ([True] * 3, [True, False, True], [False, True, True]):
        cohort.judge(archs, legal).log_p.sum().backward()
        adam.step(torch.tensor(learning))
        for own, optimiser, rows, learns in zip(alone, optimisers, archs, learning, strict=True):
            optimiser.zero_grad()
            own.judge(rows, legal).log_p.sum().backward()
            if learns:
                optimiser.step()
    judged = cohort.judge(archs, legal).log_p
    for found, own, rows in zip(judged, alone, archs, strict=True):
        torch.testing.assert_close(found, own.judge(rows, legal).log_p, rtol=1e-4, atol=1e-4)
    # Units that only fill cache lines have come to no weight.
    of_state = dict(cohort.named_parameters())["lstm.0.of_state"]
    assert of_state.shape == (3, 16, 64)
    assert not of_state[:, 6:].any()
    assert not of_state[:, :, 6:16].any()


@pytest.mark.parametrize("anchored", [False, True])
def test_bits_do_not_depend_on_who_else_is_there(anchored):
    """Two trials of seven, by themselves; after three steps."""

    def learnt(own, seeds):
        cohort = CohortController(own)
        adam = CohortAdam(list(cohort.parameters()), 0.05)
        rows = [torch.Generator().manual_seed(seed) for seed in seeds]
        for _ in range(3):
            cohort.draw(3, rows, legal).log_p.sum().backward()
            adam.step(torch.ones(len(own), dtype=torch.bool))
        return cohort.draw(3, rows, legal).log_p.detach()

    everybody = controllers(7, anchored)
    both = learnt(everybody[3:5], (3, 4))
    assert torch.equal(learnt(everybody, range(7))[3:5], both)


def test_who_has_no_generator_shifts_nobodys_draws():
    cohort = CohortController(controllers(2, anchored=False))
    first, second = generators(2)
    together = cohort.draw(4, [first, second], legal)
    again = cohort.draw(4, [None, torch.Generator().manual_seed(1)], legal)
    assert torch.equal(again.archs[1], together.archs[1])
