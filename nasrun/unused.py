"""Options that change nothing beside the others that were chosen: each is said in a sentence."""

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from nasrun.evaluators.curve_stopped import CurveStopped
from nasrun.evaluators.screened import Screened
from nasrun.experiment import Experiment
from nasrun.keys import key_of

log = logging.getLogger(__name__)


def unused(
    config: DictConfig, experiment: Experiment, overrides: Sequence[str], sweep: bool
) -> Iterator[str]:
    """Sentences on what was asked for without effect.

    Args:
        config: the composed config.
        experiment: what was made of it.
        overrides: what the command line says, such as ``features=pixels``.
        sweep: whether this is a job of a sweep.
    """
    algorithm = experiment.algorithm
    asked = {key_of(text).lstrip("+").partition(".")[0] for text in overrides}
    scaled = {key: value for key, value in config.scale.items() if value is not None}
    if scaled and "scale" not in config.algorithm and "reduced" not in config:
        first = next(iter(scaled.items()))
        yield (
            f"scale ({first[0]}={first[1]} and more) reduces methods that share weights, so it "
            f"changes nothing of algorithm={algorithm.name}"
        )
    if "features" in asked and not any(
        "features" in node for node in (config.algorithm, config.meta)
    ):
        yield (
            "features are for methods that look at a data set, so they change nothing of "
            f"algorithm={algorithm.name}"
        )
    if "predictor" in asked and not any(
        "predictor" in node and OmegaConf.is_interpolation(node, "predictor")
        for node in (config.algorithm, config.get("study") or {})
    ):
        yield (
            "predictor is for methods that choose candidates by one, so it changes nothing of "
            f"algorithm={algorithm.name}"
        )
    if not _is_folder(config.data_dir) and str(config.data_dir) != f"{config.cache_dir}/data":
        yield f"data_dir={config.data_dir} is no folder, so no data file is read from it"
    if "report" in asked and not sweep:
        yield "report is of a sweep, and this is one run: nasrun report DIR makes a run's own page"
    if algorithm.trains and isinstance(experiment.evaluator, Screened):
        yield (
            f"evaluator.screen filters nothing, because algorithm={algorithm.name} measures with "
            "its own shared weights: the evaluator gives the final figures alone"
        )
    if not experiment.budget.charge_repeats and algorithm.evaluations_a_step > 1:
        yield (
            "budget.charge_repeats=false spares single measurements, so it changes nothing of "
            f"algorithm={algorithm.name}, whose generations are charged whole"
        )
    yield from _stopped(experiment)
    yield from _latency(config, experiment)


def _is_folder(place: object) -> bool:
    return Path(str(place)).expanduser().is_dir()


def _stopped(experiment: Experiment) -> Iterator[str]:
    """Trainings that nothing will stop."""
    evaluator, budget = experiment.evaluator, experiment.budget.within(None).evaluations
    if not isinstance(evaluator, CurveStopped):
        return
    if experiment.algorithm.trains:
        yield (
            f"evaluator={evaluator.name} stops nothing, because "
            f"algorithm={experiment.algorithm.name} measures with its own shared weights: the "
            "evaluator gives the final figures alone"
        )
    elif budget is not None and budget <= evaluator.first:
        yield (
            f"evaluator={evaluator.name} stops nothing before evaluator.first={evaluator.first} "
            f"full trainings, and budget.evaluations={budget} ends by then: lower the first or "
            "raise the second"
        )


def _latency(config: DictConfig, experiment: Experiment) -> Iterator[str]:
    """Rewards by which nothing is chosen."""
    weighs = [key for key in ("target_ms", "limit_ms") if config.hardware.get(key) is not None]
    if weighs and not experiment.algorithm.follows_rewards:
        key = "latency_target_ms" if "latency" in config.algorithm else "latency_weight"
        other = "algorithm=unas with algorithm.latency_weight does"
        cure = f"set algorithm.{key}" if key in config.algorithm else other
        yield (
            f"hardware.{weighs[0]} stands in the rewards, by which "
            f"algorithm={experiment.algorithm.name} chooses nothing: {cure}"
        )


@cache
def say(sentence: str) -> None:
    """Log a warning once, however many jobs this process plays."""
    log.warning("%s", sentence)
