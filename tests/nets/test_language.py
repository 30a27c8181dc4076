"""Recurrent cells by their published equations, and what language models are judged by."""

import math
import os

import numpy as np
import pytest
import torch
from composed import composed

from nasrun.config import build
from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.nets.footprint import footprint
from nasrun.nets.language import NextToken
from nasrun.nets.recurrent import TreeCell
from nasrun.spaces.nb201 import NB201
from nasrun.spaces.rnn_cell import RNNCell
from nasrun.spaces.rnn_tree import RNNTree
from nasrun.spec import Scale, Task
from nasrun.streams import Streams
from nasrun.tasks.text import NUMBER, UNKNOWN, Text

PUBLISHED = "0 2 1 0 2 1 2 2 4 0 5 0 3 2 6 2"  # enas_lm's README
EXAMPLE = "[add.tanh mul.relu mul.sigmoid; add.relu 0 1]"  # of Zoph and Le's section 3.4


def text_task(**fields):
    own = {"classes": 12, "train_images": 20, "valid_images": 5, "test_images": 5, "steps": 6}
    own |= fields
    return Text("text", own.pop("classes"), 1, "text", "text", own.pop("valid_images"),
                own.pop("train_images"), **own)  # fmt: skip


def seeded(make):
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        return make()


def test_the_papers_example_of_a_tree():
    space = RNNTree(base=2)
    *nodes, memory = space.nodes_of(arch := space.parse(EXAMPLE))
    cell = seeded(lambda: TreeCell(nodes, memory, int(arch[-2]), int(arch[-1]), 4))
    x, h, c = (torch.rand(3, 4) - 0.5 for _ in range(3))
    of_x, of_h = cell.of_input(x).chunk(2, dim=1), cell.of_state(h).chunk(2, dim=1)
    a0, a1 = torch.tanh(of_x[0] + of_h[0]), torch.relu(of_x[1] * of_h[1])
    found_h, found_c = cell(x, (h, c))
    torch.testing.assert_close(found_h, torch.sigmoid(torch.relu(a0 + c) * a1))
    torch.testing.assert_close(found_c, of_x[1] * of_h[1])


def test_a_tree_of_base_8_has_the_papers_size():
    space = RNNTree()
    assert len(space.decisions) == 34
    assert space.size == 15**2 * 8**16  # 6.3e16; the paper says about 6e16


def test_the_published_cell_by_its_equations():
    space = RNNCell()
    arch = space.parse(PUBLISHED)
    assert space.text(arch) == PUBLISHED
    assert space.nodes_of(arch)[:3] == [(0, "sigmoid"), (1, "tanh"), (2, "relu")]
    net = seeded(lambda: space.build(arch, text_task(), Scale(channels=4)))
    cell, x, h = net.cell, torch.rand(2, 4), torch.rand(2, 4)
    functions = [torch.tanh, torch.relu, torch.sigmoid, lambda value: value]
    both = torch.cat([x, h], 1) @ cell.first.linear.weight.T
    made = [h + torch.sigmoid(both[:, 4:]) * (torch.tanh(both[:, :4]) - h)]
    numbers = list(map(int, PUBLISHED.split()))
    for layer, source, function in zip(cell.layers, numbers[::2], numbers[1::2], strict=True):
        s = made[source]
        both = s @ layer.linear.weight.T
        made.append(s + torch.sigmoid(both[:, 4:]) * (functions[function](both[:, :4]) - s))
    torch.testing.assert_close(cell(x, [h])[0], sum(made[1:]) / 8)
    assert footprint(net, 1)[0] * 1e6 == 4 * 12 + 12 + 8 * 8 + 8 * 4 * 8


def test_logits_are_of_the_token_after_each_and_none_sees_the_future():
    net = seeded(lambda: RNNCell(nodes=2).build(np.array([0, 0, 1, 1]), text_task(), Scale(4)))
    x = torch.tensor([[1, 5, 2, 7], [1, 5, 2, 3]])
    found = net(x)
    assert found.shape == (2, 12, 4)
    torch.testing.assert_close(found[0, :, :3], found[1, :, :3])
    assert not torch.allclose(found[0, :, 3], found[1, :, 3])


def test_a_supernet_computes_the_cell_that_is_chosen_and_trains_its_weights_alone():
    space, task = RNNCell(nodes=3), text_task()
    shared = seeded(lambda: space.supernet(task, Scale(channels=4)))
    arch = space.parse("0 1 1 0 0 3")
    rows = [torch.eye(len(options))[at] for options, at in zip(shared.rows, arch, strict=True)]
    alone = space.build(arch, task, Scale(channels=4))
    own = {"embedding.weight": shared.embedding.weight, "decoder.bias": shared.decoder.bias}
    own |= {"decoder.weight": shared.embedding.weight}
    own["cell.first.linear.weight"] = shared.cell.first.linear.weight
    chosen = [(0, 0, 1), (1, 1, 0), (2, 0, 3)]
    for at, source, function in chosen:
        layer = shared.cell.layers[at][source][function]
        own[f"cell.layers.{at}.linear.weight"] = layer.linear.weight
    alone.load_state_dict(own)
    x = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(shared(x, rows), alone(x))
    shared(x, rows).sum().backward()
    learnt = [
        name for name, weight in shared.named_parameters()
        if name.startswith("cell.layers") and weight.grad is not None
    ]  # fmt: skip
    assert learnt == [f"cell.layers.{at}.{s}.{f}.linear.weight" for at, s, f in chosen]
    with pytest.raises(UnsupportedError, match="one cell at a time"):
        shared(x, [torch.ones(len(options)) for options in shared.rows])


def test_a_windows_loss_is_the_mean_over_its_tokens():
    even = torch.zeros(2, 4, 3)  # of two windows of three tokens, four symbols
    sure = even.clone()
    sure[1, 0] = 50.0  # of the second window's, all but the last are right
    target = torch.tensor([[0, 1, 2], [0, 0, 3]])
    assert float(NextToken(4).loss(even, target)) == pytest.approx(2 * math.log(4))
    assert float(NextToken(4).loss(sure, target)) == pytest.approx(math.log(4) + 50 / 3)


def test_perplexity_by_hand():
    objective, target = NextToken(3), torch.tensor([[0, 1], [2, 0]])
    output = torch.log(torch.tensor([0.5, 0.25, 0.25])).repeat(2, 2, 1).transpose(1, 2)
    sums = objective.sums(output, target)
    mean = (2 * math.log(2) + 2 * math.log(4)) / 4
    assert objective.score(sums, 2) == pytest.approx(math.exp(mean))
    assert float(objective.loss(output, target)) == pytest.approx(2 * mean)
    assert math.isnan(objective.score(torch.tensor([1e6, 1.0]), 1))


def test_a_text_becomes_windows_with_the_words_that_follow(tmp_path):
    (tmp_path / "own.txt").write_text("The cat, the DOG: 12 cats.\n" * 30)
    splits = text_task(classes=6, path=str(tmp_path / "own.txt")).load()
    names = splits.class_names
    assert names[:2] == (UNKNOWN, "the")
    assert len(names) == 6
    train = splits.search_train
    assert train.pixels.shape == train.labels.shape == (20, 6)
    flat, after = train.pixels.ravel(), train.labels.ravel()
    np.testing.assert_array_equal(flat[1:], after[:-1])
    words = ["the", "cat", ",", "the", "dog", ":", NUMBER, "cats", "."]
    wanted = [names.index(word) if word in names else 0 for word in words]
    assert flat[:9].tolist() == wanted
    assert after[-1] == splits.search_valid.pixels[0, 0]
    assert splits.final_test.labels[-1, -1] >= 0
    assert set(splits.files) == {"own.txt"}


def test_characters_and_texts_that_do_not_do(tmp_path):
    (tmp_path / "short.txt").write_text("abc abd")
    with pytest.raises(DataError, match=r"expects 181 characters, short\.txt has 7"):
        text_task(path=str(tmp_path / "short.txt"), level="character").load()
    with pytest.raises(DataError, match=r"task\.path=.* is no text"):
        text_task(path=str(tmp_path / "none.txt")).load()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"task\.path=.* is no text .* found a pipe"):
        text_task(path=str(tmp_path / "pipe")).load()
    with pytest.raises(ConfigError, match=r"task\.level must be word or character"):
        text_task(level="page")


def test_a_text_of_pictures_and_cells_of_pictures_are_refused():
    picture = Task("cifar10", 10, 32, "s", "s", 10, 10)
    for space in (RNNCell(), RNNTree()):
        with pytest.raises(UnsupportedError, match="is no text: use task=text"):
            space.build(space.sample(Streams([0]))[0], picture, Scale())
    with pytest.raises(UnsupportedError, match="a text has no pictures"):
        NB201().build(np.zeros(6, np.int64), text_task(), Scale())
    with pytest.raises(ConfigError, match="power of two"):
        RNNTree(base=6)


def unigram(train, valid, vocabulary):
    """Perplexity of the words' shares, each counted once more."""
    counts = 1.0 + np.bincount(train.ravel(), minlength=vocabulary)
    return float(np.exp(-np.log(counts / counts.sum())[valid.ravel()].mean()))


@pytest.mark.slow
def test_the_published_cell_beats_single_words_on_pythons_own_documentation(tmp_path):
    config = composed(
        "task=text", "space=rnn_cell", "evaluator=training", "recipe@evaluator.recipe=language",
        "evaluator.channels=32", "evaluator.epochs=6", f"cache_dir={tmp_path}",
    )  # fmt: skip
    task = build(config.task, Task, "task")
    splits, space = task.load(), RNNCell()
    from nasrun.spec import Evaluator

    session = build(config.evaluator, Evaluator, "evaluator").opened(space, task)
    arch = space.parse(PUBLISHED)[None]
    found = session.evaluate(arch, epochs=np.array([6]), streams=Streams([0])).score[0]
    bar = unigram(splits.search_train.labels, splits.search_valid.labels, task.classes)
    assert found < bar, (found, bar)
