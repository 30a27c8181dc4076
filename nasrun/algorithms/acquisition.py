"""Acquisition functions: what a measurement of each candidate is worth. More is better."""

from enum import Enum

import numpy as np
from scipy.special import ndtr

from nasrun.spec import Floats, Prediction, Streams

LEAST_SD = 1e-12


class Acquisition(Enum):
    """How a prediction becomes a choice; formulas of naszilla's ``acquisition_functions.py``."""

    its = "its"  # independent Thompson sampling: a draw of N(mean, sd²) for each candidate
    ucb = "ucb"  # upper confidence bound: mean + factor·sd
    ei = "ei"  # expected improvement on the best figure, with sd/calibration
    pi = "pi"  # probability of improvement on the best figure
    ts = "ts"  # Thompson sampling: one member of the ensemble, or draw, for all candidates
    exploit = "exploit"  # the mean


def worth(
    prediction: Prediction,
    how: Acquisition,
    streams: Streams,
    factor: float = 0.5,
    calibration: float = 1.0,
) -> Floats:
    """``(T, M)`` what the candidates of a prediction are worth.

    Args:
        prediction: of ``M`` candidates in each of ``T`` trials.
        how: the acquisition function.
        streams: that ``its`` and ``ts`` draw from.
        factor: of the standard deviation in ``ucb``.
        calibration: that the standard deviation is divided by in ``ei``.
    """
    mean, sd = prediction.mean, prediction.sd
    if how is Acquisition.its:
        return mean + sd * streams.normal(mean.shape[1])
    if how is Acquisition.ucb:
        return mean + factor * sd
    if how is Acquisition.ts:
        assert prediction.members is not None, "Predictor.has_members says otherwise"
        member = streams.integers(prediction.members.shape[1])[:, 0]
        return prediction.members[np.arange(len(mean)), member]
    if how is Acquisition.exploit:
        return mean
    best = np.where(np.isfinite(prediction.best), prediction.best, 0.0)[:, None]
    if how is Acquisition.pi:
        return ndtr((mean - best) / np.maximum(sd, LEAST_SD))
    return expected_improvement(mean, np.maximum(sd / calibration, LEAST_SD), best)


def expected_improvement(mean: Floats, sd: Floats, best: Floats) -> Floats:
    """E[max(x - best, 0)] of x ~ N(mean, sd²)."""
    gamma = (mean - best) / sd
    density = np.exp(-0.5 * gamma**2) / np.sqrt(2.0 * np.pi)
    return sd * (gamma * ndtr(gamma) + density)
