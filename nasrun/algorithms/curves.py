"""Learning curves of what a search has trained, for predictors that read them."""

import numpy as np

from nasrun.errors import DataError
from nasrun.spec import Archs, Floats, Inputs, Ints, Mask, Measured, Problem, no_curve


class Curves:
    """Curves of a cohort's trainings up to a share of the full one.

    Args:
        problem: whose curves are read.
        figure: of the curves, one of ``CURVES``.
        share: of the full training; the first epoch from there on that can be measured is taken.

    Raises:
        UnsupportedError: the evaluator has no curves of this figure.
    """

    def __init__(self, problem: Problem, figure: str, share: float) -> None:
        if figure not in problem.curves:
            raise no_curve(figure, problem.curves)
        self._problem, self._figure = problem, figure
        full = problem.fidelities[-1]
        self._full = full
        self.epochs = next(epochs for epochs in problem.fidelities if epochs >= share * full)
        shape = (problem.trials, 0)
        self._trained: Ints = np.zeros(shape, np.int64)  # epochs of what was measured in full
        self.tried: Archs = np.zeros((*shape, len(problem.space.decisions)), np.int64)

    def add(self, measured: Measured) -> None:
        """Remember how long something was trained, which may be less than in full."""
        self._trained = np.column_stack([self._trained, measured.epochs])

    def add_candidates(self, measured: Measured) -> None:
        """Remember what was trained for a while, in ``tried (T, N, L)``."""
        self.tried = np.concatenate([self.tried, measured.archs[:, None]], axis=1)

    def of_measured(self, archs: Archs) -> tuple[Inputs, Mask]:
        """Curves of all that was measured ``(T, N, L)``, and which are whole ``(T, N)``.

        Raises:
            DataError: none of them is.
        """
        inputs, whole = self._of(archs, np.minimum(self._trained, self.epochs))
        if not whole.any():
            raise DataError(
                f"expected {self._figure} after every epoch up to {self.epochs}, found gaps in "
                "each curve: set another algorithm.curve_share, or take another table"
            )
        return inputs, whole

    def of_candidates(self, archs: Archs) -> tuple[Inputs, Mask]:
        """Curves of candidates ``(T, M, L)``, and which are whole ``(T, M)``."""
        return self._of(archs, np.full(archs.shape[:2], self.epochs, np.int64))

    def _of(self, archs: Archs, epochs: Ints) -> tuple[Inputs, Mask]:
        flat, lengths = archs.reshape(-1, archs.shape[2]), epochs.reshape(-1)
        found = self._oriented(self._problem.curve(flat, lengths, self._figure))
        curve = np.full((len(flat), self.epochs), np.nan)
        curve[:, : found.shape[1]] = found
        curve = curve.reshape(*archs.shape[:2], self.epochs)
        whole = np.logical_and.reduce(~np.isnan(curve), axis=2)
        curve = np.where(whole[:, :, None], curve, 0.0)
        return Inputs(archs, curve=curve, full=self._full), whole

    def _oriented(self, curve: Floats) -> Floats:
        """Higher is better: a loss with its sign changed."""
        if self._figure.endswith("_loss"):
            return -curve
        return self._problem.metric.oriented(curve)
