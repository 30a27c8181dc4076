"""TPE: the tree-structured Parzen estimator, by Optuna."""

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.algorithms.base import SampleBased
from nasrun.errors import UnsupportedError
from nasrun.ranges import require_at_least
from nasrun.spec import Archs, Measured, Phase, Problem, SearchSpace, Streams

if TYPE_CHECKING:
    import optuna

SEEDS = 2**31  # Optuna hands its seed to NumPy's RandomState
TRIES = 5  # suggestions that do not exist, after which a random architecture is measured


@dataclass
class TPE(SampleBased):
    """Architectures that are likelier under the good ones' density than under the others'.

    Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (NeurIPS 2011), Section 4, in
    Optuna's implementation (Watanabe, "Tree-Structured Parzen Estimator", 2023): one categorical
    parameter per decision, all of them modelled jointly if ``multivariate``.

    Departures: where earlier decisions restrict a later one, each set of legal options is a
    parameter of its own; what does not exist is told as a failure and not measured, and after
    some such suggestions in a row, which are much alike, a random architecture is. Optuna's sampler
    is not written for cohorts, so the pipeline plays the trials one after the other; each sampler
    is seeded from its trial's stream. Where an evaluator answers with another architecture than the
    one asked for, the study learns the one measured.

    Raises:
        UnsupportedError: Optuna is not installed.
    """

    name: str = "tpe"
    startup: int = 10
    candidates: int = 24
    multivariate: bool = True

    cohort: ClassVar[bool] = False
    learns_in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 1, "startup", "candidates")
        if find_spec("optuna") is None:
            raise UnsupportedError(
                'algorithm=tpe needs Optuna, which is not installed: pip install "nasrun[tpe]"'
            )

    @property
    def startup_steps(self) -> int:
        """The random architectures before the first model."""
        return self.startup

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin one study per trial."""
        super().start(problem, streams, phase)
        self._studies = [self._study(seed) for seed in streams.integers(SEEDS)[:, 0].tolist()]
        self._asked: list[optuna.Trial] = []

    def _study(self, seed: int) -> "optuna.Study":
        import optuna

        # It reports every study, and every parameter that has no joint density yet.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            # The multivariate sampler is marked experimental in Optuna 4.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=self.startup,
                n_ei_candidates=self.candidates,
                multivariate=self.multivariate,
                seed=seed,
            )
        return optuna.create_study(sampler=sampler, direction="maximize")

    def ask(self) -> Archs:
        """``(T, L)`` what each study suggests."""
        # Drawn whether needed or not, so that a trial's numbers do not depend on the model.
        spare = self.problem.space.sample(self.streams)
        suggested = [
            _suggest(study, self.problem.space, instead.tolist())
            for study, instead in zip(self._studies, spare, strict=True)
        ]
        self._asked = [trial for trial, _ in suggested]
        return np.array([arch for _, arch in suggested], np.int64)

    def tell(self, measured: Measured) -> None:
        """Hand each study its reward; a failed measurement is a failed trial."""
        for row, reward in enumerate(measured.reward.tolist()):
            self._tell(self._studies[row], self._asked[row], measured.archs[row].tolist(), reward)

    def _tell(
        self, study: "optuna.Study", asked: "optuna.Trial", arch: list[int], reward: float
    ) -> None:
        from optuna.distributions import BaseDistribution, CategoricalDistribution
        from optuna.trial import TrialState, create_trial

        space, places = self.problem.space, range(len(arch))
        choices = dict(_parameter(space, arch[:place]) for place in places)
        params = dict(zip(choices, arch, strict=True))
        if params == asked.params and not np.isnan(reward):
            study.tell(asked, reward)
            return
        study.tell(asked, state=TrialState.FAIL)
        if not np.isnan(reward):  # the evaluator answered with another architecture
            distributions: dict[str, BaseDistribution] = {
                name: CategoricalDistribution(options) for name, options in choices.items()
            }
            study.add_trial(create_trial(params=params, distributions=distributions, value=reward))


def _suggest(
    study: "optuna.Study", space: SearchSpace, spare: list[int]
) -> "tuple[optuna.Trial, list[int]]":
    """An architecture that exists: ``spare`` after some that do not."""
    from optuna.trial import TrialState

    for _ in range(TRIES):
        trial = study.ask()
        arch = _decided(trial, space)
        if space.exists(np.array([arch], np.int64))[0]:
            return trial, arch
        study.tell(trial, state=TrialState.FAIL)
    places = range(len(spare))
    study.enqueue_trial({_parameter(space, spare[:at])[0]: spare[at] for at in places})
    trial = study.ask()
    return trial, _decided(trial, space)


def _decided(trial: "optuna.Trial", space: SearchSpace) -> list[int]:
    """Options of one architecture, decision by decision."""
    arch: list[int] = []
    for _ in space.decisions:
        arch.append(trial.suggest_categorical(*_parameter(space, arch)))
    return arch


def _parameter(space: SearchSpace, prefix: list[int]) -> tuple[str, list[int]]:
    """Name and options of the parameter that decides what follows."""
    place = len(prefix)
    options = np.flatnonzero(space.legal(np.array([prefix], np.int64).reshape(1, place))[0])
    return f"{place} of {','.join(map(str, options))}", options.tolist()
