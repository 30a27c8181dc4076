"""Statistical claims about algorithms: fixed seeds, a stated level, figures on failure."""

from composed import make, nb201_experiment, trace
from scipy.stats import mannwhitneyu

from nasrun.budget import Budget

LEVEL = 0.01
TRIALS = (
    500  # as in the papers; what evolution gains in so few evaluations is a third of a deviation
)
EVALUATIONS = 50


def rewards(name, task, cache_dir):
    experiment = nb201_experiment(task, cache_dir)
    limits = Budget(evaluations=EVALUATIONS)
    return trace(
        experiment, algorithm=make(name), seeds=range(TRIALS), budget=limits
    ).outcome.reward


def test_evolution_beats_random_search(cache_dir):
    evolution, chance = (rewards(name, "cifar100", cache_dir) for name in ("rea", "random"))
    p = mannwhitneyu(evolution, chance, alternative="greater").pvalue
    assert p < LEVEL, (
        f"p = {p:.4f}; rea {evolution.mean():.3f} +- {evolution.std(ddof=1):.3f}, random "
        f"{chance.mean():.3f} +- {chance.std(ddof=1):.3f}\n{evolution}\n{chance}"
    )
