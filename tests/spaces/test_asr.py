import hashlib

import numpy as np
import pytest

from nasrun.errors import ConfigError
from nasrun.spaces.asr import ASR, FIRST, ZERO

SPACE = ASR()
TEXT = "[[0, 1], [5, 1, 0], [3, 1, 1, 1]]"


def fingerprint(edges, labels):
    """The authors' hash of a reduced cell (graph_utils.graph_hash_np), vertex by vertex."""
    size = len(labels)
    marks = [
        hashlib.md5(str((float(edges[v].sum()), float(edges[:, v].sum()), labels[v])).encode())
        for v in range(size)
    ]
    marks = [mark.hexdigest() for mark in marks]
    for _ in range(size):
        marks = [
            hashlib.md5(
                (
                    "".join(sorted(marks[w] for w in range(size) if edges[w, v]))
                    + "|"
                    + "".join(sorted(marks[w] for w in range(size) if edges[v, w]))
                    + "|"
                    + marks[v]
                ).encode()
            ).hexdigest()
            for v in range(size)
        ]
    return hashlib.md5(str(sorted(marks)).encode()).hexdigest()


def reduced(arch):
    """The cell without zeros and dead ends, by searching from both ends."""
    edges = SPACE.dag(arch[None]).adjacency[0].copy()
    labels = [-1, *arch[list(FIRST)].tolist(), -2]
    for vertex, label in enumerate(labels):
        if label == ZERO:
            edges[vertex] = edges[:, vertex] = False
    reach = edges | np.eye(5, dtype=bool)
    for _ in range(5):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    kept = [v for v in range(5) if v in (0, 4) or (reach[0, v] and reach[v, 4])]
    return edges[np.ix_(kept, kept)], [labels[v] for v in kept]


def test_13824_encodings_are_8242_models():
    archs = SPACE.at(np.arange(SPACE.size))
    keys = [SPACE.canonical(arch) for arch in archs]
    assert (len(keys), len(set(keys))) == (13_824, 8_242)


def test_keys_merge_what_the_authors_hash_merges():
    rng = np.random.default_rng(0)
    marks = {}
    for arch in SPACE.at(rng.choice(SPACE.size, 1500, replace=False)):
        marks.setdefault(SPACE.canonical(arch), set()).add(fingerprint(*reduced(arch)))
    assert max(map(len, marks.values())) == 1
    assert len(set.union(*marks.values())) == len(marks)


def test_the_authors_example():
    arch = SPACE.parse(TEXT)
    assert arch.tolist() == [0, 1, 5, 1, 0, 3, 1, 1, 1]
    assert SPACE.text(arch) == TEXT
    assert SPACE.graph(arch) == [
        ("0", "1", "linear"), ("0", "2", "zero"), ("0", "3", "conv7"), ("0", "4", "output"),
        ("1", "2", "zero"), ("1", "4", "output"), ("2", "3", "conv7"), ("2", "4", "output"),
        ("3", "4", "output"),
    ]  # fmt: skip
    edges, labels = reduced(arch)
    assert labels == [-1, 0, 3, -2]
    assert edges.astype(int).tolist() == [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[0, 2], [5, 1, 0], [3, 1, 1, 1]]", "digit from 0 to 1 at character 6"),
        ("[[6, 1]", "digit from 0 to 5 at character 3"),
        ("[[0, 1], [5, 1]]", "expected ','"),
        (TEXT + "]", "should end"),
    ],
)
def test_bad_texts_show_their_place(text, words):
    with pytest.raises(ConfigError, match=words):
        SPACE.parse(text)
