"""MetaD2A's Table 5: what each set encoder adds to the predictor's correlation.

``python scripts/metad2a_encoders.py [ENCODING ...]`` trains a predictor with each encoder of data
sets (all of them, if none is named) on the published records and prints a Markdown table: Pearson's
r on the published validation part, which nothing was chosen by, beside the paper's; and the share
of pairs of one task, at least one of them held out, that stand in the right order. ``ours`` is the
default: the paper's encoder and the linear path. Settings such as ``algorithm.predictor.epochs=5``
are passed on to the config. Needs NASRUN_DATA with metad2a/ and the extra ``metad2a``.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from hydra import compose, initialize_config_dir

from nasrun.__main__ import CONF
from nasrun.algorithms.metad2a import MetaD2A
from nasrun.algorithms.metad2a_predictor import Predictor, Ranker
from nasrun.benchmarks.metad2a_records import SECOND_JUDGEMENT
from nasrun.config import check
from nasrun.nets.set_encoders import SetEncoding
from nasrun.spec import Floats, Library, Mask, Records, SearchSpace

PAPER = {
    "none": 0.6439,
    "deep_set": 0.7286,
    "set_transformer": 0.7744,
    "statistics": 0.7796,
    "hierarchical": 0.8085,
}
OURS = "ours"


def main(arguments: list[str]) -> None:
    """Train, and print a row for each."""
    names = [text for text in arguments if "=" not in text] or [*PAPER, OURS]
    overrides = [text for text in arguments if "=" in text]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=["algorithm=metad2a", *overrides])
    opened = check(config, [CONF / "task"]).opened()
    algorithm, library = opened.experiment.algorithm, opened.pool
    assert isinstance(algorithm, MetaD2A)
    assert isinstance(library, Library)
    records = library.records()
    print("| encoder | r | paper | pairs of a task | CPU s |\n|---|---|---|---|---|", flush=True)
    for name in names:
        _tell(name, _recipe(algorithm.predictor, name), records, opened.experiment.space)


def _recipe(default: Predictor, name: str) -> Predictor:
    if name == OURS:
        return default
    return replace(default, encoding=SetEncoding[name], direct=False)


def _tell(name: str, recipe: Predictor, records: Records, space: SearchSpace) -> None:
    began = time.process_time()
    learnt = recipe.learn(records, space)
    seconds = time.process_time() - began
    right, count = pairs_in_order(scores(Ranker(recipe, space, learnt.arrays), records), records)
    r, paper = learnt.rows[-1][2], PAPER.get(name, "")
    print(
        f"| {name} | {r:.3f} | {paper} | {right / count:.3f} of {count} | {seconds:.0f} |",
        flush=True,
    )


def scores(ranker: Ranker, records: Records) -> Floats:
    """``(n,)`` of all records."""
    found = np.empty(len(records.archs))
    for own, classes in enumerate(records.datasets):
        rows = np.flatnonzero(records.dataset == own)
        if len(rows):
            features = torch.from_numpy(records.features[list(classes)])
            each = torch.arange(len(classes))
            found[rows] = ranker.score(records.archs[rows], features, each[None])
    return found


def pairs_in_order(predicted: Floats, records: Records) -> tuple[int, int]:
    """How many pairs of a task are in the right order, and how many there are.

    Pairs of one task and one judgement, of different scores, that are not both learnt from.
    """
    judgement: Mask = np.arange(len(predicted)) >= SECOND_JUDGEMENT
    right = count = 0
    for first, second in _pairs(records):
        apart = records.score[first] - records.score[second]
        held_out = records.held_out[first] or records.held_out[second]
        if held_out and apart and judgement[first] == judgement[second]:
            count += 1
            right += int((predicted[first] - predicted[second]) * apart > 0)
    return right, count


def _pairs(records: Records) -> Iterator[tuple[int, int]]:
    """Rows of the records, two of one task at a time."""
    for own in np.unique(records.dataset):
        rows = np.flatnonzero(records.dataset == own).tolist()
        for at, first in enumerate(rows):
            for second in rows[:at]:
                yield first, second


if __name__ == "__main__":
    main(sys.argv[1:])
