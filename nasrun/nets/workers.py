"""Several trainings at a time, each in a process of its own."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch

from nasrun.errors import DataError
from nasrun.machine import end_with
from nasrun.nets.device import Device
from nasrun.nets.training_cache import TrainingCache
from nasrun.nets.training_request import TrainingRequest
from nasrun.progress import Stage, heard_by, stage

TOLD_S = 0.5  # between two answers of ``train``
_cache: list[TrainingCache] = []  # a worker process's own
_slot: list[Callable[[float], None]] = []  # where it says how far it is


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
        spawn = get_context("spawn")  # a forked process could use neither CUDA nor OpenMP
        # How far each worker's training is, 0 to 1. Without locks, which a killed one could keep.
        self._shares = spawn.RawArray("d", count)
        slots = spawn.Value("i", 0)
        arguments = (folder, device, threads, os.getpid(), self._shares, slots)
        self._pool = ProcessPoolExecutor(count, spawn, _begin, arguments)

    def train(self, requests: Sequence[TrainingRequest]) -> Iterator[tuple[int, float]]:
        """Do all of these trainings; an error in one ends the others.

        Yields now and then how many are done, and which share of all the work is, 0 to 1.

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

    def _done(self, requests: Sequence[TrainingRequest]) -> Iterator[tuple[int, float]]:
        # Started with SIGINT blocked: Ctrl-C is this process's to answer, in one sentence.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            waiting = {self._pool.submit(_train, request) for request in requests}
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            while waiting:
                ended, waiting = wait(waiting, TOLD_S, FIRST_COMPLETED)
                for future in ended:
                    future.result()
                done = len(requests) - len(waiting)
                yield done, min(1.0, (done + sum(self._shares)) / len(requests))
        finally:
            for future in waiting:
                future.cancel()


@cache
def shared_workers(count: int, folder: Path, device: Device) -> Workers:
    """The processes for a folder and a device; every evaluator with the same ones shares them."""
    return Workers(count, folder, device)


def _begin(
    folder: Path, device: Device, threads: int, parent: int, shares: Any, slots: Any
) -> None:
    with slots.get_lock():
        own = slots.value
        slots.value += 1
    _slot.append(lambda share: shares.__setitem__(own, share))
    torch.set_num_threads(threads)  # not as the device's, which small networks would then use, too
    _cache.append(TrainingCache(folder, device))
    end_with(parent)


def _train(request: TrainingRequest) -> None:
    def hear(stages: Sequence[Stage]) -> None:
        _slot[0](stages[0].share if stages else 0.0)

    with heard_by(hear), stage("training"):
        _cache[0].train(request)
