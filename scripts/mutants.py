"""Change one thing in a module and see a test of its own area fail; report what no test notices.

Usage: ``python scripts/mutants.py [AREA ...] [--count N] [--seed N] [--timeout S]``. An area of
``scripts/mutants.yaml`` names files and the tests that guard them. Of each file ``--count`` mutants
are drawn by ``--seed`` (a comparison, an operator, a sign, a factor, a constant, an axis, a
``detach``, the order of ``where``, what a function returns, ...); after them come those written
``by_hand``. Each is written into a temporary copy of the package, never into the checkout, and the
area's tests run there until one fails. Survivors that are not listed as ``equivalent``, with a
reason, make the exit status 1, and so does a listed one that a test does catch.
"""

import argparse
import importlib
import os
import random
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import cache_from_source
from itertools import islice, zip_longest
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from mutations import Place, places
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[1]
PLAN = Path(__file__).with_suffix(".yaml")
COPIED = ("nasrun", "conf", "tests", "scripts", "pyproject.toml", "README.md", "CONTRIBUTING.md")
OPTIONS = ("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=0")
SURVIVED = "SURVIVED"
Process = get_context("fork").Process


class PlanError(Exception):
    """What the plan says cannot be played; nasrun's own errors must not be imported here."""


@dataclass(frozen=True)
class Mutant:
    """A file with one place changed; ``old`` and ``new`` are its line before and after."""

    file: str
    line: int
    old: str
    new: str
    source: str = field(repr=False)


@dataclass(frozen=True)
class Area:
    """Files, the tests that guard them, and what the plan says of their mutants."""

    files: list[str]
    tests: list[str]
    drawn: bool = True
    by_hand: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    equivalent: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def mutants(self, root: Path, count: int, seed: int) -> Iterator[Mutant]:
        """Those that are drawn, file by file, and those that were written by hand."""
        files = sorted({f.relative_to(root).as_posix() for g in self.files for f in root.glob(g)})
        sources = {file: (root / file).read_text() for file in files}
        for file in files if self.drawn else ():
            yield from draw(file, sources[file], count, seed)
        for entry in self.by_hand:
            yield written(entry["old"].strip(), entry["new"].strip(), sources)

    def reason(self, mutant: Mutant) -> str | None:
        """Why a survivor may live; None: it may not."""
        found = [
            e["why"] for e in self.equivalent if (e["old"], e["new"]) == (mutant.old, mutant.new)
        ]
        return found[0] if found else None


def draw(file: str, source: str, count: int, seed: int) -> list[Mutant]:
    """``count`` mutants of a file, of as many kinds as it has."""
    found = list(places(source))
    random.Random(f"{seed} {file}").shuffle(found)
    kinds: dict[str, list[Place]] = {}
    for place in found:
        kinds.setdefault(place.kind, []).append(place)
    turns = (place for turn in zip_longest(*kinds.values()) for place in turn if place)
    return [_mutant(file, source, place) for place in islice(turns, count)]


def written(old: str, new: str, sources: Mapping[str, str]) -> Mutant:
    """The mutant that replaces ``old``, which stands once in the files.

    Raises:
        PlanError: it does not.
    """
    holders = [file for file, source in sources.items() for _ in range(source.count(old))]
    if len(holders) != 1:
        raise PlanError(f"expected {old!r} once in {', '.join(sources)}, found {len(holders)}")
    source = sources[holders[0]]
    start = source.index(old)
    return _mutant(holders[0], source, Place("by hand", start, start + len(old), new))


def _mutant(file: str, source: str, place: Place) -> Mutant:
    first = source.rfind("\n", 0, place.start) + 1
    last = (source + "\n").index("\n", place.end)
    before, after = source[first : place.start], source[place.end : last]
    old, new = (
        " ".join(text.split()) for text in (source[first:last], before + place.text + after)
    )
    mutated = source[: place.start] + place.text + source[place.end :]
    return Mutant(file, source.count("\n", 0, place.start) + 1, old, new, mutated)


class Copy:
    """A copy of the package and its tests, in which mutants live."""

    def __init__(self, root: Path, folder: Path, timeout_s: float) -> None:
        self.folder, self._timeout_s = folder, timeout_s
        for name in COPIED:
            if (root / name).is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(root / name, folder / name, ignore=ignore)
            elif (root / name).exists():
                shutil.copy(root / name, folder / name)

    def verdict(self, tests: Sequence[str], mutant: Mutant | None = None) -> str:
        """The first test that fails, with the mutant in its place; ``SURVIVED`` if all pass."""
        path, sound = None, ""
        if mutant is not None:
            path = self.folder / mutant.file
            sound = path.read_text()
            Path(cache_from_source(str(path))).unlink(missing_ok=True)
            path.write_text(mutant.source)
        log = self.folder / "output.txt"
        process = Process(target=_test, args=(self.folder, tests, log, mutant is None))
        process.start()
        process.join(self._timeout_s if mutant else None)
        if path is not None:
            path.write_text(sound)
        if process.exitcode is None:
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            return f"timeout of {self._timeout_s:g} s"
        if process.exitcode == 0:
            return SURVIVED
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", log.read_text(), re.MULTILINE)
        return found[1] if found else f"pytest's exit status {process.exitcode}"


def _test(folder: Path, tests: Sequence[str], log: Path, sound: bool) -> None:
    """Run tests on the package in ``folder``; a fork's work, so that torch is imported once."""
    os.setsid()
    os.chdir(folder)
    sys.dont_write_bytecode = not sound  # what the mutants' tests import is compiled once
    sys.path.insert(0, str(folder))
    os.environ |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "" if sound else "1"}
    with log.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    place = importlib.import_module("nasrun").__file__
    assert place is not None
    assert Path(place).is_relative_to(folder), f"{place} is not the copy in {folder}"
    code = pytest.main([*OPTIONS, *tests])
    sys.stdout.flush()
    os._exit(code)


def judge(area: Area, copy: Copy, mutants: Sequence[Mutant]) -> int:
    """Print a row for each mutant; returns how many are not as they should be."""
    if (failed := copy.verdict(area.tests)) != SURVIVED:
        raise PlanError(f"{failed} fails without a mutant: mend it first")
    wrong = 0
    for mutant in mutants:
        verdict, reason = copy.verdict(area.tests, mutant), area.reason(mutant)
        if reason is not None:
            verdict = (
                f"equivalent: {reason}" if verdict == SURVIVED else f"not equivalent: {verdict}"
            )
        wrong += verdict == SURVIVED or verdict.startswith("not equivalent")
        cells = f"{mutant.file}:{mutant.line}", f"`{mutant.old}`", f"`{mutant.new}`", verdict
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |", flush=True)
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if a mutant survived that should not have."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("areas", nargs="*", help="areas of the plan; all, if none is given")
    parser.add_argument("--count", type=int, default=5, help="mutants drawn of each file")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for a mutant's tests")
    parser.add_argument(
        "--preload", nargs="*", default=["torch._dynamo", "scipy.stats", "pandas"],
        help="modules that are imported once, before each mutant's tests are forked",
    )  # fmt: skip
    parser.add_argument("--plan", type=Path, default=PLAN)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder that holds the package")
    given = parser.parse_args(arguments)
    for name in given.preload:
        importlib.import_module(name)
    try:
        plan: Any = OmegaConf.to_container(OmegaConf.load(given.plan))
        if unknown := set(given.areas) - set(plan):
            raise PlanError(f"expected areas among {', '.join(plan)}, got {', '.join(unknown)}")
        areas = [Area(**plan[name]) for name in given.areas or plan]
        total = wrong = 0
        print("| place | original | mutant | caught by |\n| --- | --- | --- | --- |", flush=True)
        for area in areas:
            mutants = list(area.mutants(given.root, given.count, given.seed))
            with TemporaryDirectory() as folder:
                wrong += judge(
                    area, Copy(given.root, Path(folder).resolve(), given.timeout), mutants
                )
            total += len(mutants)
    except PlanError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{total} mutants, {wrong} of them neither caught nor equivalent")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
