import numpy as np

from nasrun.report.aggregate import profiles


def test_a_profile_is_the_share_of_trials_at_or_above_each_score():
    generator = np.random.default_rng(0)
    tasks = [generator.normal(0, 1, (2, 30)), generator.normal(0, 1, (2, 90))]
    found = profiles(tasks, [np.arange(30), np.arange(90)])
    for i in range(2):
        for t, share in zip(found.thresholds[::9], found.shares[i, ::9], strict=True):
            wanted = np.mean([np.mean(task[i] >= t) for task in tasks])
            assert abs(share - wanted) < 1e-12
    assert (np.diff(found.shares, axis=1) <= 0).all()
    assert ((found.low <= found.shares + 1e-9) & (found.shares <= found.high + 1e-9)).all()


def test_the_last_score_is_the_best_of_all():
    found = profiles([np.array([[0.0, 0.5], [0.2, 1.0]])], [np.arange(2)])
    assert found.thresholds[-1] == 1.0
    np.testing.assert_allclose(found.shares[:, -1], [0, 0.5])
