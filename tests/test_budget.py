from nasrun.budget import UNLIMITED, Budget


def test_a_budget_ends_with_the_methods_own_plan_or_before():
    assert Budget().within(30).evaluations == 30
    assert Budget().within(30, 4).evaluations == 120
    assert Budget(evaluations=100).within(30, 4).evaluations == 100
    assert Budget(evaluations=200, wall_s=9.0).within(30, 4) == Budget(evaluations=120, wall_s=9.0)


def test_without_plan_and_limit_it_has_fifty_steps():
    assert Budget().within(None).evaluations == UNLIMITED == 50
    assert Budget().within(None, 3).evaluations == 150
    for own in (Budget(evaluations=7), Budget(simulated_s=7.0), Budget(wall_s=7.0)):
        assert own.within(None, 3) == own
