"""MLflow: a run in an experiment of a tracking store."""

from typing import Any, ClassVar

import numpy as np

from nasrun.files import cache_folder
from nasrun.locks import file_lock
from nasrun.trackers.base import QUARTERS, Finished, Tracker, flat

FOLDER_TAG = "nasrun.folder"
LONGEST = 500  # characters of a parameter's value: what every kind of store takes
BATCH = {"metrics": 1000, "params": 100}  # entries of one request, MLflow's own limits
FILES = ("trials.csv", "summary.csv", "best.json", "provenance.json")


class MLflowTracker(Tracker):
    """Makes an MLflow run of a finished job: parameters, curve, final metrics, files.

    A job that stands in the store already, by its folder, is replaced.

    Args:
        uri: tracking store, such as ``sqlite:///FILE`` or a server's address.
        experiment: MLflow experiment; made if it is missing.
    """

    package: ClassVar[str] = "mlflow"
    extra: ClassVar[str] = "mlflow"

    def __init__(self, uri: str, experiment: str) -> None:
        super().__init__()
        self.uri = uri
        self.experiment = experiment

    def track(self, run: Finished) -> None:
        """Write the run to the store."""
        from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

        cache_folder().mkdir(parents=True, exist_ok=True)
        # Two jobs that end at once would both make the tables of a store that is not there yet.
        with file_lock(cache_folder() / ".mlflow.lock"):
            self._write(MlflowClient(tracking_uri=self.uri), run)

    def _write(self, client: Any, run: Finished) -> None:
        found = client.get_experiment_by_name(self.experiment)
        place = found.experiment_id if found else client.create_experiment(self.experiment)
        for old in client.search_runs([place], f"tags.`{FOLDER_TAG}` = '{run.folder}'"):
            client.delete_run(old.info.run_id)
        tags = {FOLDER_TAG: str(run.folder), **_tags(run)}
        made = client.create_run(place, run_name=run.name, tags=tags)
        key = made.info.run_id
        _log(client, key, run)
        for name in FILES:
            client.log_artifact(key, str(run.folder / name))
        client.set_terminated(key)


def _tags(run: Finished) -> dict[str, str]:
    """Where the run comes from, as far as one searches for it."""
    provenance = run.provenance
    return {
        f"nasrun.{name}": str(provenance[name])
        for name in ("commit", "config_hash", "nasrun")
        if provenance.get(name) is not None
    }


def _log(client: Any, key: str, run: Finished) -> None:
    """Write parameters, curve and final metrics in as few requests as the store allows."""
    from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]

    written_ms = int((run.folder / "status.json").stat().st_mtime * 1000)
    lines = {"search_best_reward_mean": run.curve.mean}
    for share, quartile in zip(QUARTERS, run.curve.quartiles, strict=True):
        lines[f"search_best_reward_quantile_{share}"] = quartile
    metrics = [
        Metric(name, float(line[at]), written_ms, int(run.curve.steps[at]))
        for name, line in lines.items()
        for at in np.flatnonzero(~np.isnan(line)).tolist()
    ]
    metrics += [
        Metric(f"final/{name}", value, written_ms, 0) for name, value in run.metrics.items()
    ]
    params = [Param(name, value[:LONGEST]) for name, value in flat(run.config).items()]
    for kind, entries in (("metrics", metrics), ("params", params)):
        for first in range(0, len(entries), BATCH[kind]):
            client.log_batch(key, **{kind: entries[first : first + BATCH[kind]]})
