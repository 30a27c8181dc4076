"""NAO and SemiNAS against PyTorch's own layers, and by hand."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nasrun.errors import ConfigError
from nasrun.predictors.batches import MULTIPLE
from nasrun.predictors.nao import NAO, Examples, Translators, loss
from nasrun.predictors.seminas import SemiNAS
from nasrun.predictors.sequence_network import SequenceNetwork, texts
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Dag, Inputs
from nasrun.streams import Streams

HIDDEN, NAMES = 8, 7


def alone(x):
    return x


def lstm(into, again, way, both):
    """PyTorch's, whose gates stand in another order: ours has the output gate third."""
    order = torch.cat([torch.arange(0, 2 * HIDDEN), torch.arange(3 * HIDDEN, 4 * HIDDEN),
                       torch.arange(2 * HIDDEN, 3 * HIDDEN)])  # fmt: skip
    layer = torch.nn.LSTM(HIDDEN, HIDDEN, batch_first=True, bidirectional=both)
    with torch.no_grad():
        for suffix, at in zip(("", "_reverse"), way, strict=False):
            for name, own in (("ih", into[at]), ("hh", again[at])):
                getattr(layer, f"weight_{name}_l0{suffix}").copy_(own.weight[0].T[order])
                getattr(layer, f"bias_{name}_l0{suffix}").copy_(own.bias[0, 0][order])
    return layer


def test_a_cell_is_written_vertex_by_vertex():
    adjacency = np.zeros((1, 4, 4), bool)
    adjacency[0, 0, 1] = adjacency[0, 0, 2] = adjacency[0, 1, 2] = True
    written = texts(Dag(adjacency, np.array([[0, 2, 1, -1]])))
    # Names from 3 on; an edge is 2, none is 1; the fourth vertex is absent, then come two more.
    wanted = [3, 2, 5, 2, 2, 4, 0, 0, 0, 0, 0, 0]
    assert written.tolist() == [wanted]


def test_forward_passes_are_those_of_pytorch():
    streams = Streams([3, 4], "network")
    net = SequenceNetwork(NAMES, HIDDEN, 4, streams)
    text = torch.from_numpy(Streams([3, 4]).integers(NAMES, 5 * 4)).view(2, 4, 5)  # 4 places
    text = torch.cat([text, text])  # as filled: four networks
    figures, embedding, outputs = net.encode(text, alone)
    written = net.decode(text, embedding, outputs, alone)

    own = text[0].T  # (texts, places)
    x = net._read[0][own]
    both = lstm(net._into, net._again, (0, 1), True)(x)[0]
    out = F.normalize(both @ net._joined.weight[0] + net._joined.bias[0] + x, dim=2)
    e = F.normalize(out.mean(dim=1), dim=1)
    inner, outer, last = net._head
    more = F.relu(e @ inner.weight[0] + inner.bias[0])
    more = F.relu(more @ outer.weight[0] + outer.bias[0])
    wanted = ((e + more) * math.sqrt(0.5)) @ last.weight[0] + last.bias[0]
    torch.testing.assert_close(figures[0], wanted[:, 0])
    torch.testing.assert_close(embedding[0], e)

    before = torch.cat([torch.zeros(5, 1, dtype=torch.int64), own[:, :-1]], dim=1)
    y = net._written[0][before]
    state = e[None], e[None]
    y = (y + lstm(net._into, net._again, (2,), False)(y, state)[0]) * math.sqrt(0.5)
    share = ((y @ net._asks.weight[0]) @ out.transpose(1, 2)).softmax(dim=2)
    joined = torch.cat([share @ out, y], dim=2) @ net._answers.weight[0]
    y = (y + joined.tanh()) * math.sqrt(0.5)
    logits = (y @ net._out.weight[0] + net._out.bias[0])[..., :NAMES]
    torch.testing.assert_close(written[0].transpose(0, 1), logits.log_softmax(dim=2))


def test_the_loss_by_hand():
    figures, goal = torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[2.0, 0.0, 5.0]])
    written = torch.log(torch.tensor([[[[0.5, 0.5]] * 3, [[0.25, 0.75]] * 3]]))  # two places
    text = torch.tensor([[[0, 0, 1], [0, 1, 1]]])
    found = loss(figures, written, goal, text, torch.tensor([[1.0, 1.0, 0.0]]), 0.8)
    squares = (1.0 + 9.0) / 2  # the third is not known
    unlikely = -(math.log(0.5) + math.log(0.25) + math.log(0.5) + math.log(0.75)) / 4
    assert float(found) == pytest.approx(0.8 * squares + 0.2 * unlikely)


def test_what_is_learnt_from_and_how_often(monkeypatch):
    """Copies of the records, each unlabelled architecture once, with the figure predicted of it."""
    space, streams, seen = NB201(), Streams([1], "records"), []
    archs = np.stack([space.sample(streams) for _ in range(6)], axis=1)
    y = archs.sum(axis=2).astype(float)
    passes, masks = [], []

    def remember(self, net, streams, drop, epochs, repeats, known, records=None):
        passes.append((epochs, repeats, known.text.shape[1], records, known.goals.numpy().copy()))
        masks.append(drop(torch.ones(MULTIPLE, 64)).numpy())

    monkeypatch.setattr(Translators, "_pass", remember)
    settings = {"pretraining": 3, "epochs": 2, "repeats": 4, "hidden": 8}
    for own in (NAO(**settings), SemiNAS(**settings, unlabelled_share=0.5)):
        model = own.opened(space, Streams([1]))
        model.fit(Inputs(archs), y, np.ones(y.shape, bool))
        seen.append(model)
    assert [own[:4] for own in passes] == [
        (3, 1, 6, None),
        (2, 4, 6, 6),
        (3, 1, 6, None),
        (2, 4, 9, 6),
    ]
    assert (masks[0] != masks[1]).any()  # the second pass goes on where the first one ended
    assert (masks[0] == masks[2]).all()  # a fit of equal seeds
    z = (y - y.mean()) / y.std()
    np.testing.assert_allclose(passes[3][4][0, :6], z[0], rtol=1e-5)
    unlabelled = passes[3][4][0, 6:]
    assert np.ptp(unlabelled) > 0


def test_batches_hold_each_record_as_often_as_it_is_copied(monkeypatch):
    from nasrun.predictors import nao

    counts = np.zeros(100)
    monkeypatch.setattr(nao, "clip_parts", lambda parts, most: None)

    def count(net, read, drop, trade_off):
        for value, known in zip(read.goals[0].tolist(), read.weight[0].tolist(), strict=True):
            counts[round(value)] += known

    monkeypatch.setattr(nao, "_backwards", count)
    model = NAO(batch=5, hidden=8).opened(NB201(), Streams([1]))
    net = SequenceNetwork(NAMES, 8, 4, Streams([1]))
    goals = torch.arange(7.0)[None]
    text = torch.zeros(1, 7, 4, dtype=torch.int64)
    examples = Examples(text, torch.zeros(1, 7, 0), goals, torch.ones(1, 7))
    model._pass(net, Streams([1]), lambda x: x, 2, 3, examples, records=4)
    assert counts[:7].tolist() == [6, 6, 6, 6, 2, 2, 2]


def test_widths_come_in_fours():
    with pytest.raises(ConfigError, match=r"predictor\.hidden must be a multiple of 4, got 30"):
        NAO(hidden=30)
