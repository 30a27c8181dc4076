"""The submitit plug-in's launchers, with patience: no job is lost with the one before it.

The plug-in ends with the first job that dies without a result (killed, out of memory, cancelled),
whatever the others do, and its local launcher starts all jobs of a sweep at once.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

from nasrun.machine import cores
from nasrun.sweepers.queued import note

if TYPE_CHECKING:
    from submitit import Executor, Job

log = logging.getLogger(__name__)
POLL_S = 0.1
OF_THE_EXECUTOR = ("submitit_folder", "max_num_timeout")
SHARED = set(BaseQueueConf.__dataclass_fields__)  # parameters that no queue has for itself alone

Call = tuple[list[str], str, int, str, Any]  # the arguments of the plug-in's job


class _Patient(submitit_launcher.BaseSubmititLauncher):
    """Submits the jobs, and waits for all of them.

    ``claim``: the file of the sweep's claim on them, which holds while they are queued.
    """

    claim: Path | None = None

    def _note(self, jobs: "Iterable[Job[JobReturn]]") -> None:
        if self.claim is not None:
            note(self.claim, self._EXECUTOR, (job.job_id for job in jobs))

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """What the jobs returned; a job that died before it could has no status."""
        numbered = list(enumerate(job_overrides, start=initial_job_idx))
        state = Singleton.get_state()
        calls = [
            (list(overrides), "hydra.sweep.dir", number, f"job_{number}", state)
            for number, overrides in numbered
        ]
        return [_ended(job) for job in self._submit(self._executor(), calls)]

    def _executor(self) -> "Executor":
        from submitit import AutoExecutor

        limit = self.params.get("max_num_timeout")
        more = {} if limit is None else {f"{self._EXECUTOR}_max_num_timeout": limit}
        executor = AutoExecutor(self.params["submitit_folder"], cluster=self._EXECUTOR, **more)
        executor.update_parameters(
            **{
                key if key in SHARED else f"{self._EXECUTOR}_{key}": value
                for key, value in self.params.items()
                if key not in OF_THE_EXECUTOR
            }
        )
        return executor

    def _submit(self, executor: "Executor", calls: Sequence[Call]) -> "Iterator[Job[JobReturn]]":
        """The jobs, submitted all together."""
        jobs = executor.map_array(self, *zip(*calls, strict=True))
        self._note(jobs)
        yield from jobs


class SlurmLauncher(_Patient):
    """An array of jobs of a SLURM cluster."""

    _EXECUTOR = "slurm"


class LocalLauncher(_Patient):
    """Processes on this machine, as many at once as it has cores for."""

    _EXECUTOR = "local"

    def _submit(self, executor: "Executor", calls: Sequence[Call]) -> "Iterator[Job[JobReturn]]":
        room = max(1, cores() // (self.params.get("cpus_per_task") or 1))
        jobs: list[Job[JobReturn]] = []
        for call in calls:
            while sum(not job.done() for job in jobs) >= room:
                time.sleep(POLL_S)
            jobs.append(executor.submit(self, *call))
            self._note(jobs)
        return iter(jobs)


def _ended(job: "Job[JobReturn]") -> JobReturn:
    """What a job returned once it has ended; without a status if it was killed or cancelled."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        return job.results()[0]
    except (FailedJobError, UncompletedJobError) as error:
        log.warning("job %s ended without a result: %s", job.job_id, str(error).splitlines()[0])
        return JobReturn()
