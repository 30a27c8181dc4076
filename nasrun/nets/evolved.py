"""Networks of any wiring, many at once: what NEAT evolves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.streams import Floats, Ints

SLOPE = 4.9  # of the sigmoid; Stanley and Miikkulainen, section 4.1 (recalled)
Single = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class Wiring:
    """One network: ``(source, target, weight)`` by number.

    Sources are inputs, then outputs, then hidden units; targets are outputs, then hidden units.
    """

    links: Sequence[tuple[int, int, float]]
    hidden: int


class Evolved:
    """``n`` networks of sigmoid units with a state; each sums its sources in their order.

    Weights ``(sources, targets, n)`` are zero where there is no link. Sums run over the sources
    one by one, so that a network's values are the same to the bit among any others.
    """

    def __init__(self, weights: Floats, inputs: int, outputs: int, values: Floats) -> None:
        self.inputs, self.outputs = inputs, outputs
        self._weights, self._values = weights, values

    @classmethod
    def of_wirings(cls, wirings: Sequence[Wiring], inputs: int, outputs: int) -> "Evolved":
        """The networks of ``n`` wirings, at rest."""
        units = outputs + max((wiring.hidden for wiring in wirings), default=0)
        weights = np.zeros((inputs + units, units, len(wirings)))
        for at, wiring in enumerate(wirings):
            for source, target, weight in wiring.links:
                weights[source, target, at] = weight
        return cls(weights, inputs, outputs, np.zeros((units, len(wirings))))

    def __len__(self) -> int:
        """How many there are, n."""
        return self._weights.shape[2]

    def of(self, rows: Ints) -> "Evolved":
        """Those of ``rows``, which may repeat, with their state."""
        values = self._values[:, rows]
        return Evolved(self._weights[:, :, rows], self.inputs, self.outputs, values)

    def reset(self) -> None:
        """Forget all inputs so far."""
        self._values = np.zeros_like(self._values)

    def act(self, inputs: Floats, passes: int | None = 1) -> Floats:
        """``(outputs, n)`` after one more step on ``inputs (I, n)``.

        Values move on by one link in each of the ``passes``; None: until they have reached the
        outputs of a network without cycles.
        """
        shown = np.zeros_like(self._values)
        for source in range(self.inputs):
            shown += self._weights[source] * inputs[source]
        for _ in range(len(self._values) if passes is None else passes):
            total = shown.copy()
            for unit, value in enumerate(self._values):
                total += self._weights[self.inputs + unit] * value
            self._values = 1.0 / (1.0 + np.exp(-SLOPE * total))
        return self._values[: self.outputs]

    def single(self, row: int) -> Single:
        """The first output of one network, pass by pass, on plain numbers.

        The same to the bit, without the cost of arrays, where few networks go on for long.
        """
        weights, values = self._weights[:, :, row], self._values[:, row].tolist()
        units = range(len(values))
        sources = [
            [(source, float(w)) for source, w in enumerate(weights[:, unit]) if w] for unit in units
        ]
        exp = np.exp

        def act(inputs: Sequence[float]) -> float:
            before = (*inputs, *values)
            for unit in units:
                total = 0.0
                for source, weight in sources[unit]:
                    total += weight * before[source]
                values[unit] = 1.0 / (1.0 + float(exp(-SLOPE * total)))
            return values[0]

        return act
