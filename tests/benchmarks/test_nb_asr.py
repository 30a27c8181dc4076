import pickle

import numpy as np
import pytest

from nasrun.benchmarks import nb_asr
from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column
from nasrun.errors import DataError
from nasrun.evaluators.tabular import Tabular
from nasrun.spaces.asr import ASR
from nasrun.spec import metric_named
from nasrun.streams import Streams
from nasrun.tasks.tabulated import Tabulated

SPACE = ASR()
CELLS = [[[0, 1], [5, 1, 0], [3, 1, 1, 1]], [[1, 0], [1, 0, 0], [2, 0, 0, 1]]]
TASK = Tabulated("timit", 48, 1, "TIMIT", "TIMIT", 400, 3696, "per_pct")


def header(seed=1234, **changes):
    space = {"shape": [[6, 2], [6, 2, 2], [6, 2, 2, 2]], "ops": ["linear"], "nodes": 3}
    own = {"version": 1, "dataset_type": "training", "search_space": space, "seed": seed}
    columns = ["model_hash", "val_per", "test_per", "arch_vec"]
    return {**own, "epochs": 3, "columns": columns, **changes}


def rows(shift=0.0):
    """A row a model, as the authors' files have them, in another order for each seed."""
    found = [
        ("b1", [0.5 + shift, 0.4 + shift, 0.45 + shift], 0.41, CELLS[1]),
        ("a0", [0.9 + shift, 0.3 + shift, 0.25 + shift], 0.27, CELLS[0]),
    ]
    return found[::-1] if shift else found


def written(folder, *pickles, seed=1234):
    path = folder / f"nb-asr-e40-{seed}.pickle"
    path.write_bytes(b"".join(p if isinstance(p, bytes) else pickle.dumps(p) for p in pickles))
    return path


@pytest.fixture
def folder(tmp_path):
    written(tmp_path, header(), rows())
    written(tmp_path, header(1235), rows(0.02), seed=1235)
    return tmp_path


def test_every_epoch_of_every_seed_is_read_in_per_cent(folder):
    frame = nb_asr.read(sorted(folder.iterdir()), SPACE)
    keys = [SPACE.canonical(SPACE.parse(text)) for text in frame.archs]
    own = [SPACE.canonical(SPACE.parse(str(cell))) for cell in CELLS]
    assert set(keys) == set(own)
    every = [SPACE.canonical(arch) for arch in SPACE.at(np.arange(SPACE.size))]
    assert len(keys) == every.count(own[0]) + every.count(own[1])  # all encodings of both
    first = [list(frame.archs).index(str(cell)) for cell in CELLS]
    for seed, shift in (("1234", 0), ("1235", 2)):
        curve = [frame.columns[Column("val_score", "timit", 3, e, seed)] for e in (1, 2, 3)]
        found = np.array(curve).T[first]
        np.testing.assert_allclose(found - shift, [[90, 30, 25], [50, 40, 45]])
        test = frame.columns[Column("test_score", "timit", 3, 3, seed)]
        np.testing.assert_allclose(test[first], [27, 41])


def test_a_search_minimises_it_and_has_curves(folder):
    names = [f"nb-asr-e40-{seed}.pickle" for seed in (1234, 1235, 1236)]
    folders = [str(folder / "nowhere"), str(folder)]
    source = Source("nb_asr", "asr", names, folders, metrics={"timit": "per_pct"})
    session = Tabular(tables={"t": source}, cache_dir=str(folder / "c")).opened(SPACE, TASK)
    assert session.metric == metric_named("per_pct")
    assert not session.metric.higher_is_better
    archs = np.array([SPACE.parse(str(cell)) for cell in CELLS])
    epochs = np.array([3, 2])
    found = session.evaluate(archs, epochs=epochs, streams=Streams([0, 1]))
    np.testing.assert_allclose(found.score, [26, 41], rtol=1e-6)  # the mean over seeds
    curve = session.curve(archs, epochs=epochs)
    np.testing.assert_allclose(curve, [[91, 31, 26], [51, 41, np.nan]], rtol=1e-6)
    # What the zero cuts off may be anything: it is the same model.
    other = SPACE.parse("[[0, 1], [5, 0, 1], [3, 1, 1, 1]]")
    assert SPACE.canonical(other) != SPACE.canonical(archs[0])
    same = SPACE.parse("[[0, 1], [5, 1, 0], [3, 1, 1, 0]]")
    np.testing.assert_allclose(
        session.evaluate(same[None], epochs=epochs[:1], streams=Streams([0])).score, [26], rtol=1e-6
    )


class Hostile:
    def __reduce__(self):
        return (open, ("made", "w"))


@pytest.mark.parametrize(
    ("pickles", "words"),
    [
        ((b"\x00",), "not a complete pickle"),
        ((header(),), "not a complete pickle"),
        ((header(), pickle.dumps(rows())[:-9]), "not a complete pickle"),
        ((header(), Hostile()), "refused: it asks for"),
        ((header(), b"\x80\x02]r\xff\xff\xff\x7f."), "refused: it claims room"),
        ((header(dataset_type="static"), rows()), "a table of static"),
        ((header(columns=["model_hash", "latency"]), rows()), "with the columns"),
        ((header(epochs=4), rows()), "expected 4 epochs of each model"),
        (({"a": 1}, rows()), "KeyError: 'dataset_type'"),
        ((header(), [("a0", [0.9, 0.8, 0.7], 0.6, [[9, 1]])]), "not a NAS-Bench-ASR architecture"),
    ],
)
def test_other_files_are_refused(tmp_path, pickles, words):
    with pytest.raises(DataError, match=words):
        nb_asr.read([written(tmp_path, *pickles)], SPACE)


def test_files_of_other_models_are_refused(folder):
    written(folder, header(1236), rows()[:1], seed=1236)
    with pytest.raises(DataError, match="other models than nb-asr-e40-1234"):
        nb_asr.read(sorted(folder.iterdir()), SPACE)
