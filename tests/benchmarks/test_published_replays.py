import numpy as np
import pytest
from composed import composed
from omegaconf import OmegaConf

from nasrun.benchmarks.source import Source
from nasrun.benchmarks.sources import load_table
from nasrun.benchmarks.table import Column
from nasrun.spaces.nb201 import NB201

# What NASLib calls validation accuracy of NAS-Bench-201: test figures of seed 888.
COLUMNS = {
    "cifar10": Column("test_score", "cifar10-valid", 200, 200, "888"),
    "cifar100": Column("test_score", "cifar100", 200, 200, "888"),
    "ImageNet16-120": Column("test_score", "ImageNet16-120", 200, 200, "888"),
}


@pytest.mark.data
def test_every_published_incumbent_of_bananas_is_in_the_table(data_dir, tmp_path):
    """NAS-Bench-Suite-Zero's searches: 161 of 161 values, to three decimals."""
    import pandas as pd

    node = composed(f"data_dir={data_dir}", f"cache_dir={tmp_path}").tables.nb201_merged
    resolved = OmegaConf.to_container(node, resolve=True)
    schema = OmegaConf.merge(OmegaConf.structured(Source), resolved)
    source = OmegaConf.to_object(schema)
    table = load_table({"merged": source}, ["merged"], NB201(), tmp_path)
    published = pd.read_csv(data_dir / "suite_zero" / "bananas_xgb_incumbents.csv.gz")
    published = published[published["space"] == "nasbench201"]
    assert set(published["task"]) >= set(COLUMNS)
    found = 0
    for task, column in COLUMNS.items():
        values = published.loc[published["task"] == task, "incumbent_valid"].round(3).unique()
        gaps = [np.nanmin(np.abs(table[column] - value)) for value in values]
        assert max(gaps) < 1e-3, task
        found += len(values)
    assert found == 161
