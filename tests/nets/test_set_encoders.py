import numpy as np
import pytest
import torch

from nasrun.nets.set_encoders import (
    HEADS,
    SCALE,
    Attention,
    Hierarchical,
    Outline,
    SetEncoding,
    set_encoder,
)

WIDTH, FEATURES = 8, 5
every_kind = pytest.mark.parametrize("kind", SetEncoding)


def encoder(kind):
    torch.manual_seed(0)
    return set_encoder(kind, FEATURES, WIDTH).double()


def features(classes=4, pictures=3):
    draws = torch.Generator().manual_seed(1)
    return torch.randn(classes, pictures, FEATURES, generator=draws, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _own_draws():
    with torch.random.fork_rng(devices=[]):
        yield


@every_kind
def test_a_data_set_is_one_vector(kind):
    code = encoder(kind)(features(), torch.tensor([[0, 1], [2, 3], [3, 0]]))
    assert code.shape == (3, WIDTH)


@every_kind
def test_neither_order_matters(kind):
    network, x = encoder(kind), features()
    code = network(x, torch.tensor([[0, 1, 3]]))
    torch.testing.assert_close(network(x, torch.tensor([[3, 0, 1]])), code)
    torch.testing.assert_close(network(x[:, [2, 0, 1]], torch.tensor([[0, 1, 3]])), code)


@every_kind
def test_other_pictures_and_other_classes_are_another_vector(kind):
    network, x = encoder(kind), features()
    code = network(x, torch.tensor([[0, 1, 3]]))
    others = network(x, torch.tensor([[0, 1, 2]])), network(x + 1, torch.tensor([[0, 1, 3]]))
    for other in others:
        assert torch.equal(other, code) == (kind is SetEncoding.none)


def test_only_some_encoders_see_which_picture_is_of_which_class():
    x = features(2, 2)
    swapped = x.clone()
    swapped[0, 0], swapped[1, 0] = x[1, 0], x[0, 0]
    both = torch.tensor([[0, 1]])
    blind = {
        kind
        for kind in SetEncoding
        if torch.allclose(encoder(kind)(x, both), encoder(kind)(swapped, both))
    }
    assert blind == {SetEncoding.deep_set, SetEncoding.set_transformer, SetEncoding.none}


def test_equal_pictures_count_as_one():
    """So a class may stand for its pictures with a single vector."""
    network, x, both = encoder(SetEncoding.hierarchical), features(2, 1), torch.tensor([[0, 1]])
    torch.testing.assert_close(network(x.repeat(1, 20, 1), both), network(x, both))


def test_attention_by_hand():
    torch.manual_seed(0)
    network = Attention(3, 2, WIDTH).double()
    x, y = torch.randn(1, 1, 3).double(), torch.randn(1, 2, 2).double()

    def linear(layer, vector):
        return layer.weight.detach().numpy() @ vector + layer.bias.detach().numpy()

    query = linear(network.query, x[0, 0].numpy())
    keys = [linear(network.key, row) for row in y[0].numpy()]
    values = [linear(network.value, row) for row in y[0].numpy()]
    joined = query.copy()
    size = WIDTH // HEADS
    for head in range(HEADS):
        own = slice(head * size, (head + 1) * size)
        scores = np.exp([query[own] @ key[own] / np.sqrt(WIDTH) for key in keys])
        joined[own] += sum(w * v[own] for w, v in zip(scores / scores.sum(), values, strict=True))
    expected = joined + np.maximum(linear(network.last, joined), 0)
    np.testing.assert_allclose(network(x, y)[0, 0].detach().numpy(), expected)


def test_statistics_by_hand():
    network, x = encoder(SetEncoding.statistics), features(2, 3)

    def statistics(rows):
        return np.concatenate([rows.mean(0), rows.var(0), [np.log(len(rows))]])

    def through(layers, vector):
        return layers(torch.from_numpy(vector)).detach().numpy()

    prototypes = [
        through(network.prototype, statistics(through(network.each, rows.numpy()))) for rows in x
    ]
    expected = through(network.all, statistics(np.stack(prototypes)))
    code = network(x, torch.tensor([[0, 1]]))[0].detach().numpy()
    np.testing.assert_allclose(code, expected)


def test_a_class_is_encoded_alike_in_whatever_company():
    network, x = Hierarchical(FEATURES, WIDTH).double(), features()
    together = network(x, torch.tensor([[0, 1], [2, 3]]))
    torch.testing.assert_close(network(x[2:], torch.tensor([[0, 1]])), together[1:])


def test_an_outline_by_hand():
    """Three classes at right angles and at 45 degrees; pictures of a class point the same way."""
    x = torch.tensor([[[2.0, 0.0], [1.0, 0.0]], [[0.0, 3.0], [0.0, 1.0]], [[1.0, 1.0], [4.0, 4.0]]])
    (own,) = Outline(2)(x, torch.tensor([[0, 1, 2]]))
    half = 0.5**0.5
    expected = torch.tensor([(1 + half) / 3, (1 + half) / 3, 2 * half / 3, half])
    torch.testing.assert_close(own, SCALE * expected)


def test_an_outline_of_one_class_has_no_likeness():
    x = torch.tensor([[[3.0, 4.0]]])
    (own,) = Outline(2)(x, torch.tensor([[0]]))
    assert own.tolist() == pytest.approx([SCALE * 0.6, SCALE * 0.8, 0.0, 0.0])
