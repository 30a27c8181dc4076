"""Every contract of nasrun, a page per noun; what other modules need is exported here.

Shapes: ``T`` trials of a cohort, ``L`` decisions of an architecture, ``K`` objectives, ``n`` any
number of rows. Architectures are ``(n, L)`` int arrays that hold the index of the option chosen at
each decision. A score is in the unit of its metric, times are seconds (``cost_s``) or milliseconds
(``latency_ms``). A missing figure is NaN in memory and an empty cell on disk, never 0 or -1.
"""

from nasrun.images import SearchImages
from nasrun.spec.algorithm import Algorithm, Phase, Policy, Problem
from nasrun.spec.control import ControlTask
from nasrun.spec.evaluator import (
    CURVES,
    Clock,
    Evaluator,
    Judging,
    Measured,
    Measuring,
    Protocol,
    Scored,
    Session,
    no_curve,
)
from nasrun.spec.features import Features, Vectors
from nasrun.spec.hardware import Device, Hardware, RewardTerms
from nasrun.spec.meta import (
    Database,
    Learner,
    Learnt,
    Library,
    MetaPool,
    MetaSession,
    Records,
)
from nasrun.spec.metric import ACCURACY, Metric, metric_named, require_readable
from nasrun.spec.network import Controllers, Scale, Supernet
from nasrun.spec.objective import Objective, SummedObjective, Tally
from nasrun.spec.predictor import Inputs, Model, Prediction, Predictor, Truth
from nasrun.spec.retrain import Retrain
from nasrun.spec.space import (
    Anchors,
    Archs,
    CountableSpace,
    Dag,
    Differences,
    Edges,
    Mask,
    SearchSpace,
)
from nasrun.spec.task import NamedTask, Task, TaskMaker, drawn_from, source_of
from nasrun.streams import Floats, Ints, Streams

__all__ = [
    "ACCURACY",
    "CURVES",
    "Algorithm",
    "Anchors",
    "Archs",
    "Clock",
    "ControlTask",
    "Controllers",
    "CountableSpace",
    "Dag",
    "Database",
    "Device",
    "Differences",
    "Edges",
    "Evaluator",
    "Features",
    "Floats",
    "Hardware",
    "Inputs",
    "Ints",
    "Judging",
    "Learner",
    "Learnt",
    "Library",
    "Mask",
    "Measured",
    "Measuring",
    "MetaPool",
    "MetaSession",
    "Metric",
    "Model",
    "NamedTask",
    "Objective",
    "Phase",
    "Policy",
    "Prediction",
    "Predictor",
    "Problem",
    "Protocol",
    "Records",
    "Retrain",
    "RewardTerms",
    "Scale",
    "Scored",
    "SearchImages",
    "SearchSpace",
    "Session",
    "Streams",
    "SummedObjective",
    "Supernet",
    "Tally",
    "Task",
    "TaskMaker",
    "Truth",
    "Vectors",
    "drawn_from",
    "metric_named",
    "no_curve",
    "require_readable",
    "source_of",
]
