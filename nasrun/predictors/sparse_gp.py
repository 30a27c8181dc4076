"""Sparse Gaussian processes: a few inducing points stand for all records."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from torch import Tensor

from nasrun.predictors.base import Encoded, scaled
from nasrun.predictors.batches import MULTIPLE, filled
from nasrun.predictors.gaussian import LEAST_VARIANCE
from nasrun.predictors.gp import BETAS, RATE, GaussianProcess, Kernel, distances
from nasrun.ranges import require_at_least
from nasrun.spec import Floats, Inputs, Ints, Mask, Model, Prediction, SearchSpace, Streams

JITTER = 1e-8  # of the inducing points' variance: two of them may be the same


class Approximation(Enum):
    """What of a record its inducing points leave out, and what becomes of that."""

    fitc = "fitc"  # independent noise of that record (Snelson and Ghahramani, NeurIPS 2005)
    variational = "variational"  # it lowers a bound on the likelihood (Titsias, AISTATS 2009)


@dataclass
class SparseGaussianProcess(GaussianProcess):
    """The Gaussian process of ``predictor=gp`` through ``inducing`` of its records.

    Inducing points are records that lie far apart: the first one, then always the one that is
    farthest from those taken (Gonzalez, 1985); where there are as many as records, it is the full
    process. Parameters are the most probable ones, with ``fitc``'s likelihood or the variational
    bound, and the priors of ``predictor=gp``.

    Departure: NASLib (by Pyro) puts ten points on the diagonal at 0, 0.5, ..., 4.5, where no
    encoding of an architecture has anything near, and moves them by gradients.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "sparse_gp"
    inducing: int = 10
    approximation: Approximation = Approximation.fitc

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "predictor", 1, "inducing")

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> Model:
        """A process a trial."""
        return Sparse(self, Encoded(space, self.encodings))


@dataclass(frozen=True)
class _Known:
    """Distances and figures of ``R`` trials: ``U`` inducing points, ``N`` records."""

    among: Tensor  # (R, U, U)
    across: Tensor  # (R, U, N)
    z: Tensor  # (R, N)
    mask: Tensor  # (R, N)
    used: Tensor  # (R, U) which inducing points are records


@dataclass(frozen=True)
class _Found:
    """Cholesky factors ``(R, U, U)`` of the inducing points and of what is known at them."""

    prior: Tensor
    after: Tensor
    half: Tensor  # (R, U, 1)
    objective: Tensor  # (R,) log-likelihood, or its bound


class Sparse(Model):
    """Sparse Gaussian processes."""

    def __init__(self, settings: SparseGaussianProcess, encode: Callable[[Inputs], Floats]) -> None:
        self._settings, self._encode = settings, encode

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Choose inducing points, find the kernel's parameters, and what the records say."""
        own = self._settings
        z, self._scale = scaled(y, mask, own.targets)
        features = self._encode(inputs)
        points, used = farthest(distances(features, features, own.kernel), mask, own.inducing)
        self._points = np.take_along_axis(features, points[:, :, None], axis=1)
        surplus = -y.shape[1] % MULTIPLE
        longer = np.pad(features, ((0, 0), (0, surplus), (0, 0)))
        z = np.pad(z, ((0, 0), (0, surplus)))
        mask = np.pad(mask, ((0, 0), (0, surplus)))
        among = distances(self._points, self._points, own.kernel)
        across = distances(self._points, longer, own.kernel)
        known = _Known(*(filled(torch.from_numpy(p)) for p in (among, across, z, mask, used)))
        self._used = known.used
        start = torch.tensor([own.variance, own.length, own.noise], dtype=torch.float64).log()
        self._logs = start.expand(len(known.z), 3).clone().requires_grad_()
        self._climb(known)
        with torch.no_grad():
            self._found = self._of(known)

    def _climb(self, known: _Known) -> None:
        """Adam's steps up the logarithm of the parameters' posterior density."""
        climber = torch.optim.Adam([self._logs], RATE, BETAS, maximize=True)
        for _ in range(self._settings.steps):
            climber.zero_grad()
            density = self._of(known).objective.sum() - 0.5 * self._logs.square().sum()
            density.backward()
            climber.step()
        self._logs = self._logs.detach()

    def _kernel(self, apart: Tensor) -> Tensor:
        variance, length = (part.exp()[:, None, None] for part in self._logs.T[:2])
        rbf = self._settings.kernel is Kernel.rbf
        return variance * torch.exp(-apart / (2.0 * length**2) if rbf else -apart / length)

    def _of(self, known: _Known) -> _Found:
        variance, noise = self._logs[:, 0].exp()[:, None], self._logs[:, 2].exp()[:, None]
        both = known.used[:, :, None] & known.used[:, None, :]
        eye = torch.eye(both.shape[1], dtype=torch.float64)
        prior = torch.where(
            both, self._kernel(known.among) + JITTER * variance[:, :, None] * eye, eye
        )
        prior = torch.linalg.cholesky(prior)
        there = known.used[:, :, None] & known.mask[:, None, :]
        between = torch.where(there, self._kernel(known.across), 0.0)
        through = torch.linalg.solve_triangular(prior, between, upper=False)
        left = (variance - through.square().sum(dim=1)).clamp(min=0.0)
        fitc = self._settings.approximation is Approximation.fitc
        own = torch.where(known.mask, noise + left if fitc else noise.expand_as(left), 1.0)
        scaled_through = through / own[:, None, :]
        after = torch.linalg.cholesky(eye + torch.bmm(scaled_through, through.transpose(1, 2)))
        half = torch.linalg.solve_triangular(
            after, torch.bmm(scaled_through, known.z[:, :, None]), upper=False
        )
        logs = own.log().sum(dim=1) + 2.0 * after.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        squares = (known.z.square() / own).sum(dim=1) - half.square().sum(dim=(1, 2))
        count = known.mask.sum(dim=1)
        objective = -0.5 * (logs + squares + count * np.log(2.0 * np.pi))
        if not fitc:
            objective = objective - 0.5 * torch.where(known.mask, left / noise, 0.0).sum(dim=1)
        return _Found(prior, after, half, objective)

    @torch.no_grad()
    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation of the function."""
        features, count = self._encode(inputs), inputs.archs.shape[1]
        longer = np.pad(features, ((0, 0), (0, -count % MULTIPLE), (0, 0)))
        apart = filled(torch.from_numpy(distances(self._points, longer, self._settings.kernel)))
        between = torch.where(self._used[:, :, None], self._kernel(apart), 0.0)
        through = torch.linalg.solve_triangular(self._found.prior, between, upper=False)
        seen = torch.linalg.solve_triangular(self._found.after, through, upper=False)
        mean = torch.bmm(seen.transpose(1, 2), self._found.half)[..., 0]
        own = self._logs[:, 0].exp()[:, None]
        variance = own - through.square().sum(dim=1) + seen.square().sum(dim=1)
        sd = variance.clamp(min=LEAST_VARIANCE).sqrt()
        mean, sd = (part[: len(features), :count].numpy() for part in (mean, sd))
        return Prediction(self._scale.restored(mean), sd * self._scale.spread, self._scale.best)


def farthest(apart: Floats, mask: Mask, count: int) -> tuple[Ints, Mask]:
    """``(T, U)`` records far from each other, and which of them are known.

    Args:
        apart: ``(T, N, N)`` distances.
        mask: ``(T, N)`` which records are known; those that are not come last.
        count: of records to take, if there are as many; ``U`` is that up to whole lines.
    """
    trials = np.arange(len(apart))
    nearest = np.where(mask, np.inf, -1.0)
    wanted = min(count, apart.shape[1])
    size = wanted + -wanted % MULTIPLE
    points, used = np.zeros((len(apart), size), np.int64), np.zeros((len(apart), size), np.bool_)
    for at in range(wanted):
        chosen = nearest.argmax(axis=1)
        points[:, at], used[:, at] = chosen, nearest[trials, chosen] >= 0
        nearest = np.minimum(nearest, apart[trials, chosen])
        nearest[trials, chosen] = -1.0
    return points, used
