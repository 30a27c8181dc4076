"""What a score is: its name, its unit, and which of two is better."""

from dataclasses import dataclass

from nasrun.errors import ConfigError
from nasrun.streams import Floats

LONG = 11  # characters of a value; one of more is written with an exponent


@dataclass(frozen=True)
class Metric:
    """A quality of a trained (or scored) network.

    ``name`` holds the unit, as in ``accuracy_pct``: it stands in the column ``metric`` of every
    CSV. ``tolerance`` is the difference up to which two sources are taken to print the same figure.
    ``worst`` is the value that a useless network has, None where there is no such value; a
    hypervolume is measured from it.
    """

    name: str
    label: str  # for axes and table heads, without the unit
    unit: str = ""  # such as %; empty for a plain number
    higher_is_better: bool = True
    decimals: int = 2  # that a table prints
    tolerance: float = 0.0
    worst: float | None = None

    def oriented(self, score: Floats) -> Floats:
        """``(n,)`` scores of which more is better: those of an error with the sign turned."""
        return score if self.higher_is_better else -score

    @property
    def title(self) -> str:
        """Label and unit, such as ``accuracy (%)``."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def text(self, value: float, sign: str = "") -> str:
        """A value as a person reads it: with its decimals.

        As ``1.234e+06`` where these would show a row of digits, or of zeros.
        """
        plain = f"{value:{sign}.{self.decimals}f}"
        tiny = value != 0.0 and abs(value) < 10.0**-self.decimals and not self.unit
        return f"{value:{sign}.3e}" if tiny or len(plain) > LONG else plain


# Half of the second decimal, to which the coarsest published files are rounded, and a little for
# float32.
ACCURACY = Metric("accuracy_pct", "accuracy", "%", tolerance=0.006, worst=0.0)
KNOWN = {
    metric.name: metric
    for metric in (
        ACCURACY,
        Metric("error_pct", "error", "%", False, tolerance=0.006, worst=100.0),
        Metric("pixel_accuracy_pct", "pixel accuracy", "%", tolerance=0.006, worst=0.0),
        Metric("miou_pct", "mIoU", "%", tolerance=0.006, worst=0.0),
        Metric("map_pct", "mAP", "%", tolerance=0.006, worst=0.0),
        Metric("ap50_pct", "AP50", "%", tolerance=0.006, worst=0.0),
        Metric("ssim", "SSIM", decimals=4, tolerance=6e-5, worst=0.0),
        Metric("neg_loss", "negative loss", decimals=4, tolerance=6e-5),
        Metric("per_pct", "phoneme error rate", "%", False, tolerance=0.006, worst=100.0),
        Metric("perplexity", "perplexity", higher_is_better=False, tolerance=0.006),
        Metric("fitness", "fitness"),
        Metric("success_pct", "success", "%", tolerance=0.006, worst=0.0),
    )
}


def metric_named(name: str) -> Metric:
    """The metric of a name in a CSV file; one that is not known is taken to be better if higher."""
    unit = "%" if name.endswith("_pct") else ""
    label = name.removesuffix("_pct").replace("_", " ")
    return KNOWN.get(name, Metric(name, label, unit, decimals=2 if unit else 4))


def require_readable(metric: Metric) -> None:
    """Refuse a metric that reports, which have its name alone, would order the wrong way round.

    Raises:
        ConfigError: says where to list it, and how to do without.
    """
    ways = {True: "higher", False: "lower"}
    taken = metric_named(metric.name).higher_is_better
    if metric.higher_is_better != taken:
        raise ConfigError(
            f"metric {metric.name} is better if {ways[metric.higher_is_better]}, but reports take "
            f"one of this name to be better if {ways[taken]}: list it in nasrun/spec/metric.py, or "
            f"turn the sign of its scores and call it neg_{metric.name}"
        )
