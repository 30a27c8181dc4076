"""TensorBoard: event files in every run folder."""

import shutil
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from omegaconf import OmegaConf

from nasrun.trackers.base import QUARTERS, Finished, Tracker

FOLDER = "tensorboard"


class TensorBoardTracker(Tracker):
    """Writes ``RUN/tensorboard``, which ``tensorboard --logdir outputs`` finds.

    Scalars ``search/best_reward`` (mean and quartiles over the trials; the step is the number of
    evaluations charged to each) and ``final/TASK/METRIC``; texts ``config`` and ``provenance``.
    """

    package: ClassVar[str] = "tensorboard"
    extra: ClassVar[str] = "tensorboard"

    def track(self, run: Finished) -> None:
        """Write the run's events anew."""
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = run.folder / FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        written_s = (run.folder / "status.json").stat().st_mtime
        writer = EventFileWriter(str(folder))
        try:
            for step, values in _summaries(run):
                writer.add_event(Event(wall_time=written_s, step=step, summary=values))
        finally:
            writer.close()


def _summaries(run: Finished) -> Iterator[tuple[int, Any]]:
    """Steps and what TensorBoard is to show at them."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]

    lines = {"search/best_reward/mean": run.curve.mean}
    for share, quartile in zip(QUARTERS, run.curve.quartiles, strict=True):
        lines[f"search/best_reward/quantile_{share}"] = quartile
    for tag, line in lines.items():
        for at in np.flatnonzero(~np.isnan(line)).tolist():
            shown = Summary.Value(tag=tag, simple_value=line[at])
            yield int(run.curve.steps[at]), Summary(value=[shown])
    for metric, value in run.metrics.items():
        yield 0, Summary(value=[Summary.Value(tag=f"final/{metric}", simple_value=value)])
    yield 0, _text("config", OmegaConf.to_yaml(dict(run.config)))
    yield 0, _text("provenance", OmegaConf.to_yaml(dict(run.provenance)))


def _text(tag: str, content: str) -> Any:
    """A text for TensorBoard's page of texts, as a block of code."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboard.plugins.text.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    shown = "\n".join(f"    {line}" for line in content.splitlines())  # Markdown's code block
    value = Summary.Value(
        tag=tag,
        metadata=create_summary_metadata(display_name=tag, description=""),
        tensor=make_tensor_proto([shown.encode()]),
    )
    return Summary(value=[value])
