"""Several trainings at a time, each in a process of its own."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache
from multiprocessing import active_children, get_context
from pathlib import Path

import torch

from nasrun.errors import DataError
from nasrun.machine import end_with
from nasrun.nets.device import Device
from nasrun.nets.training_cache import TrainingCache
from nasrun.nets.training_request import TrainingRequest

_cache: list[TrainingCache] = []  # a worker process's own


class Workers:
    """``count`` processes that answer training requests; they share a CPU's threads.

    Processes, not threads of one: small networks keep Python busy more than the device. They are
    started when first needed and end with this process, whatever ends it.

    Args:
        count: number of processes.
        folder: of the cache of trainings, which all of them use.
        device: where they train.
    """

    def __init__(self, count: int, folder: Path, device: Device) -> None:
        threads = max((device.threads or torch.get_num_threads()) // count, 1)
        if device.threads is not None:
            device = replace(device, threads=threads)
        arguments = (folder, device, threads, os.getpid())
        # A forked process could use neither CUDA nor OpenMP.
        self._pool = ProcessPoolExecutor(count, get_context("spawn"), _begin, arguments)

    def train(self, requests: Sequence[TrainingRequest]) -> Iterator[int]:
        """Do all of these trainings; an error in one ends the others. Yields how many are done.

        Raises:
            DataError: a process was killed.
        """
        try:
            yield from self._done(requests)
        except BrokenProcessPool:
            raise DataError(
                "a process that trained a network was killed, most likely for lack of memory: "
                "lower evaluator.parallel and start again, finished epochs are kept"
            ) from None
        except (KeyboardInterrupt, GeneratorExit):
            # The end of this process would wait for what they are at.
            for process in active_children():
                process.kill()
            raise

    def _done(self, requests: Sequence[TrainingRequest]) -> Iterator[int]:
        # Started with SIGINT blocked: Ctrl-C is this process's to answer, in one sentence.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            results = self._pool.map(_train, requests)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for done, _ in enumerate(results, start=1):
            yield done


@cache
def shared_workers(count: int, folder: Path, device: Device) -> Workers:
    """The processes for a folder and a device; every evaluator with the same ones shares them."""
    return Workers(count, folder, device)


def _begin(folder: Path, device: Device, threads: int, parent: int) -> None:
    torch.set_num_threads(threads)  # not as the device's, which small networks would then use, too
    _cache.append(TrainingCache(folder, device))
    end_with(parent)


def _train(request: TrainingRequest) -> None:
    _cache[0].train(request)
