from itertools import product

import numpy as np
import pytest

from nasrun.algorithms.kde import CategoricalKDE, CountedKDE, Kernel

ARITY = np.array([2, 3, 4])
EVERYTHING = np.array(list(product(range(2), range(3), range(4))))


def points(trials=3, n=9, seed=0):
    return np.random.default_rng(seed).integers(0, ARITY, size=(trials, n, 3))


def direct_density(data, bandwidth, levels, arch):
    """The estimate at one architecture, kernel by kernel."""
    total = 0.0
    for point in data:
        kernel = 1.0
        for decision, (h, k) in enumerate(zip(bandwidth, levels, strict=True)):
            kernel *= 1 - h if arch[decision] == point[decision] else h / (k - 1)
        total += kernel
    return total / len(data)


@pytest.mark.parametrize("kernel", Kernel)
def test_density_is_the_direct_formula(kernel):
    data = points()
    kde = CategoricalKDE.fit(data, ARITY, 0.3, kernel)
    found = kde.density(np.repeat(EVERYTHING[None], 3, axis=0))
    for trial in range(3):
        levels = ARITY
        if kernel is Kernel.statsmodels:
            levels = [len(np.unique(column)) for column in data[trial].T]
        expected = [
            direct_density(data[trial], kde.bandwidth[trial], levels, arch) for arch in EVERYTHING
        ]
        np.testing.assert_allclose(found[trial], expected)


@pytest.mark.parametrize("kernel", Kernel)
def test_bandwidths_follow_the_normal_reference_rule(kernel):
    data = points(n=40)
    kde = CategoricalKDE.fit(data, ARITY, 0.3, kernel)
    rule = np.maximum(1.06 * data.std(axis=1) * 40 ** (-1 / 7), 0.3)
    if kernel is Kernel.capped:
        rule = np.minimum(rule, [1 / 2, 2 / 3, 3 / 4])
    np.testing.assert_allclose(kde.bandwidth, rule)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_a_capped_density_is_a_distribution(n):
    kde = CategoricalKDE.fit(points(n=n), ARITY, 0.3, Kernel.capped)
    density = kde.density(np.repeat(EVERYTHING[None], 3, axis=0))
    assert (density > 0).all()
    np.testing.assert_allclose(density.sum(axis=1), 1.0)


def test_counts_give_the_direct_formula():
    data, arch = points(), np.array([1, 2, 0])
    chosen = (data[..., None] == np.arange(4)).sum(axis=1)
    kde = CountedKDE.fit(chosen, ARITY, 0.3, Kernel.capped)
    patterns = ((data == arch) * [1, 2, 4]).sum(axis=2)
    matches = np.array([[np.bincount(own, minlength=8)] for own in patterns])
    for trial, found in enumerate(kde.density(matches)[:, 0]):
        direct = direct_density(data[trial], kde.bandwidth[trial], ARITY, arch)
        np.testing.assert_allclose(found, direct)


def test_a_capped_kernel_never_favours_what_was_not_seen():
    data = np.array([[[0, 0, 0]] * 4 + [[1, 2, 3]] * 4])  # the widest spread there is
    kde = CategoricalKDE.fit(data, ARITY, 0.3, Kernel.capped)
    assert ((1 - kde.bandwidth) >= kde.miss - 1e-12).all()


def test_statsmodels_knows_only_the_options_it_has_seen():
    data = np.array([[[0, 0, 1], [0, 1, 1], [0, 2, 1]]])
    kde = CategoricalKDE.fit(data, ARITY, 0.3, Kernel.statsmodels)
    assert np.isinf(kde.miss[0]).tolist() == [True, False, True]
    assert np.isinf(kde.density(np.array([[[1, 0, 1]]]))).all()


def test_a_decision_without_choice_changes_nothing():
    data = np.concatenate([points(), np.zeros((3, 9, 1), int)], axis=2)
    arity = np.append(ARITY, 1)
    everything = np.concatenate([EVERYTHING, np.zeros((24, 1), int)], axis=1)
    density = CategoricalKDE.fit(data, arity, 0.3, Kernel.capped).density(
        np.repeat(everything[None], 3, axis=0)
    )
    np.testing.assert_allclose(density.sum(axis=1), 1.0)
