"""Small official files, written with the official package's own classes."""

import bz2
import io
import pickle
from collections import OrderedDict

import numpy as np

from nasrun.spaces.nb201 import NB201

SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
# Runs as NAS-Bench-201 v1.1 has them: H0 once (cifar10-valid twice), H1 one to three times.
SEEDS = {12: {"cifar10-valid": (777, 111)}, 200: {}}
TEXTS = [NB201().text(NB201().at(np.int64(row))) for row in (0, 1, 7812, 15624)]


def result(dataset, seed, epochs, random):
    """One training run, as ``ResultsCount``."""
    from nas_201_api.api_utils import ResultsCount

    def curve():
        return {epoch: float(value) for epoch, value in enumerate(random.uniform(1, 99, epochs))}

    run = ResultsCount(
        dataset, None, curve(), curve(), np.float64(0.07), 7.8, {"arch_str": "", "class_num": 10},
        f"{seed:04d}", epochs, [np.float64(random.uniform(0.01, 0.03))],
    )  # fmt: skip
    run.update_train_info(curve(), curve(), curve(), OrderedDict(curve()))
    for name in SETS[dataset]:
        parts = [{f"{name}@{e}": v for e, v in curve().items()} for _ in range(3)]
        run.update_eval(*parts)
    return run


def arch_results(index, text, epochs, random):
    """All runs of an architecture under one schedule, as ``ArchResults``."""
    from nas_201_api import ArchResults

    results = ArchResults(index, text)
    for dataset in SETS:
        three = (777, 888, 999)[: 1 + index % 3]
        for seed in SEEDS[epochs].get(dataset, (111,) if epochs == 12 else three):
            results.update(dataset, seed, result(dataset, seed, epochs, random))
    results.clear_params()
    return results


def official(seed=0):
    """What an official ``.pth`` file holds, for four architectures."""
    random = np.random.default_rng(seed)
    infos = {
        index: {
            "full": arch_results(index, text, 200, random).state_dict(),
            "less": arch_results(index, text, 12, random).state_dict(),
        }
        for index, text in enumerate(TEXTS)
    }
    return {
        "meta_archs": TEXTS,
        "total_archs": len(TEXTS),
        "arch2infos": infos,
        "evaluated_indexes": set(range(len(TEXTS))),
    }


def write_pbz2(path, content):
    path.write_bytes(bz2.compress(pickle.dumps(content, protocol=4)))


def nats_folder(folder, content, suffix=".pickle.pbz2", digits=6):
    """The same records as NATS-Bench's simple format."""
    folder.mkdir()
    write_pbz2(folder / f"meta{suffix}", {**content, "arch2infos": None})
    for index, info in content["arch2infos"].items():
        record = OrderedDict([("12", info["less"]), ("200", info["full"])])
        write_pbz2(folder / f"{index:0{digits}d}{suffix}", record)
    return folder


class Global:
    """A name in a pickle, whatever this process has under it."""

    def __init__(self, module, name):
        self.line = f"c{module}\n{name}\n".encode()

    def __call__(self):
        raise NotImplementedError


class Rebuilt:
    """An object that a pickle rebuilds by calling a name, then hands a state."""

    def __init__(self, call, arguments, state=None):
        self.parts = (Global(*call), arguments, state)


class _Writer(pickle._Pickler):
    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(obj.line)
        else:
            super().save(obj, save_persistent_id)

    def reducer_override(self, obj):
        return obj.parts if isinstance(obj, Rebuilt) else NotImplemented


def dumps(content):
    """A pickle of plain data, ``Global`` and ``Rebuilt``."""
    stream = io.BytesIO()
    _Writer(stream, 4).dump(content)
    return stream.getvalue()


def data_frame(texts, figures):
    """A pickle of a data frame as pandas wrote it in 2021: texts in one block, floats in another.

    ``figures`` maps column names to lists.
    """
    names = np.array(["cellstr", *figures], object)
    index = Rebuilt(
        ("pandas.core.indexes.base", "_new_Index"),
        (Global("pandas.core.indexes.base", "Index"), {"data": names, "name": None}),
    )
    floats = np.array(list(figures.values()))
    blocks = [
        {"values": floats, "mgr_locs": slice(1, len(names), 1)},
        {"values": np.array([texts], object), "mgr_locs": slice(0, 1, 1)},
    ]
    newer = {"0.14.1": {"axes": [index], "blocks": blocks}}
    manager = Rebuilt(("pandas.core.internals.managers", "BlockManager"), (), ([], [], [], newer))
    return dumps(Rebuilt(("pandas.core.frame", "DataFrame"), (), {"_data": manager}))
