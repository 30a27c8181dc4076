import copy
import math

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError, DataError
from nasrun.nets.checkpoint import load_checkpoint, save_checkpoint
from nasrun.nets.classification import Classification
from nasrun.nets.device import Device
from nasrun.nets.recipe import Optimizer, Precision, Recipe
from nasrun.nets.trainer import Trainer, judged
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale, Task

TASK = Task("toy", 3, 8, "toy", "toy", 100, 100)
ARCH = NB201().parse(
    "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
)
OBJECTIVE = Classification(3)
CPU = Device("cpu", Precision.float32, threads=1)


def network():
    return NB201().build(ARCH, TASK, Scale(4, 1))


def images(n=96):
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(3, (n,), generator=generator)
    x = torch.randn(n, 3, 8, 8, generator=generator) + labels[:, None, None, None] - 1.0
    return x, labels


def batches(epoch, size=32):
    x, y = images()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(epoch))
    for at in range(0, len(y), size):
        yield x[order[at : at + size]], y[order[at : at + size]]


def valid():
    return [images()]


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def fresh(checkpoint=None, device=CPU, recipe=None, epochs=4):
    return Trainer(network, OBJECTIVE, recipe or Recipe(batch=32), epochs, device, 777, checkpoint)


def test_it_learns_and_counts():
    trainer = fresh()
    rows = trainer.train(batches, valid())
    assert [row.epoch for row in rows] == [1, 2, 3, 4]
    assert rows[-1].loss < rows[0].loss
    assert rows[-1].val_score > 80
    assert rows[-1].val_score == judged(trainer.network, OBJECTIVE, valid(), CPU)
    assert all(row.train_s > 0 and row.valid_s > 0 for row in rows)


def test_steps_are_those_of_a_plain_loop():
    trainer = fresh()
    trainer.train(batches, [], 2)
    torch.random.manual_seed(0)
    with CPU.seeded(777):
        plain = network()
    recipe = Recipe()
    optimizer = torch.optim.SGD(
        plain.parameters(), 0.1, 0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
    plain.train()
    for epoch in range(2):
        for x, y in batches(epoch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(plain(x), y).backward()
            optimizer.step()
        schedule.step()
    for ours, theirs in zip(trainer.network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_the_rate_is_the_benchmarks():
    rates = [Recipe().rate(epoch, 12) for epoch in range(12)]
    expected = [0.05 * (1 + math.cos(math.pi * epoch / 12)) for epoch in range(12)]
    np.testing.assert_allclose(rates, expected)
    warm = Recipe(learning_rate=1.0, final_rate=0.1, warmup_epochs=2)
    np.testing.assert_allclose(
        [warm.rate(e, 6) for e in range(6)], [0.5, 1.0, 1.0, 0.868198, 0.55, 0.231802], atol=1e-6
    )


def test_the_same_seed_gives_the_same_weights_and_leaves_global_random_numbers_alone():
    torch.random.manual_seed(3)
    before = torch.random.get_rng_state()
    first, second = fresh(), fresh()
    first.train(batches, valid())
    torch.rand(7)
    second.train(batches, valid())
    assert_same(weights(first), weights(second))
    torch.random.set_rng_state(before)
    fresh().train(batches, valid(), 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    other = Trainer(network, OBJECTIVE, Recipe(), 4, CPU, 888)
    assert not torch.equal(other.network.classifier.weight, fresh().network.classifier.weight)


@pytest.mark.parametrize("precision", [Precision.float32, Precision.bfloat16])
def test_a_training_that_was_stopped_ends_with_the_same_weights(tmp_path, precision):
    device = Device("cpu", precision, threads=1)
    whole = fresh(device=device)
    rows = whole.train(batches, valid())
    path = tmp_path / "one.pt"
    fresh(path, device).train(batches, valid(), 1)
    resumed = fresh(path, device)
    assert resumed.done == 1
    resumed.train(batches, valid(), 3)
    last = fresh(path, device)
    found = last.train(batches, valid())
    assert_same(weights(last), weights(whole))
    assert [(r.loss, r.val_score) for r in found] == [(r.loss, r.val_score) for r in rows]


def test_killed_in_the_middle_of_an_epoch_it_ends_with_the_same_weights(tmp_path):
    whole = fresh()
    whole.train(batches, valid())

    def killed(epoch):
        yield next(iter(batches(epoch)))
        if epoch == 2:
            raise KeyboardInterrupt
        yield from list(batches(epoch))[1:]

    path = tmp_path / "one.pt"
    with pytest.raises(KeyboardInterrupt):
        fresh(path).train(killed, valid())
    again = fresh(path)
    assert again.done == 2
    again.train(batches, valid())
    assert_same(weights(again), weights(whole))


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    def broken(epoch):
        for x, y in batches(epoch):
            yield (x * math.nan if epoch == 1 else x), y

    path = tmp_path / "one.pt"
    trainer = fresh(path)
    rows = trainer.train(broken, valid())
    assert trainer.failure == "the loss is nan in epoch 2"
    assert len(rows) == 2
    assert math.isnan(rows[1].val_score)
    assert fresh(path).failure == trainer.failure
    assert len(fresh(path).train(batches, valid())) == 2


class Hungry(torch.nn.Module):
    """Runs out of memory when it sees more than ``limit`` images in training."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.inner = limit, network()

    def forward(self, x):
        if self.training and len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return self.inner(x)


def test_batches_that_do_not_fit_are_halved_once_and_it_is_said(caplog):
    trainer = Trainer(lambda: Hungry(16), OBJECTIVE, Recipe(batch=32), 2, CPU, 777)
    rows = trainer.train(batches, valid())
    assert "computed in 2 parts of 16" in caplog.text
    assert trainer.parts == 2
    assert not trainer.failure
    assert [row.epoch for row in rows] == [1, 2]
    assert rows[-1].val_score > 50


def test_batches_that_do_not_fit_even_when_halved_end_the_training():
    trainer = Trainer(lambda: Hungry(8), OBJECTIVE, Recipe(batch=32), 2, CPU, 777)
    rows = trainer.train(batches, valid())
    assert trainer.failure == "out of memory in epoch 1 even with halved batches"
    assert math.isnan(rows[0].val_score)


def test_halved_batches_learn_what_whole_ones_learn_without_batch_normalisation():
    def plain():
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))

    whole = Trainer(plain, OBJECTIVE, Recipe(batch=32), 2, CPU, 1)
    halved = Trainer(plain, OBJECTIVE, Recipe(batch=32), 2, CPU, 1)
    halved.parts = 2
    whole.train(batches, [])
    halved.train(batches, [])
    torch.testing.assert_close(halved.network[1].weight, whole.network[1].weight)


@pytest.mark.parametrize(
    ("group", "key"), [("evaluator", "evaluator.recipe.batch"), ("algorithm", "algorithm.batch")]
)
def test_a_single_picture_whose_maps_are_one_pixel_is_refused(group, key):
    """NAS-Bench-201's networks halve twice: 4 x 4 pixels become one."""
    x, y = images(5)
    rest = [(x[:4, :, :4, :4], y[:4]), (x[4:, :, :4, :4], y[4:])]
    trainer = fresh(device=Device("cpu", Precision.float32, threads=1, group=group))
    with pytest.raises(ConfigError, match=f"set {key} so that"):
        trainer.train(lambda epoch: rest, [])
    assert fresh().train(lambda epoch: rest[:1], [], 1)[0].loss > 0


def test_a_second_head_and_dropped_paths_are_served():
    class TwoHeads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.drop_path, self.seen = 0.5, []
            self.first, self.second = torch.nn.Linear(192, 3), torch.nn.Linear(192, 3)

        def forward(self, x):
            self.seen.append(self.drop_path)
            x = x.flatten(1)
            return (self.first(x), self.second(x)) if self.training else self.first(x)

    recipe = Recipe(batch=96, drop_path=0.4, max_gradient=5.0, label_smoothing=0.1)
    trainer = Trainer(TwoHeads, OBJECTIVE, recipe, 4, CPU, 1)
    start = trainer.network.second.weight.detach().clone()
    rows = trainer.train(batches, valid(), judged=[4])
    assert sorted(set(trainer.network.seen)) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert not torch.equal(trainer.network.second.weight, start)
    assert [math.isnan(row.val_score) for row in rows] == [True, True, True, False]


def test_a_step_with_a_second_head_and_smoothed_labels_by_hand():
    class TwoHeads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(192, 3), torch.nn.Linear(192, 3)

        def forward(self, x):
            return self.first(x.flatten(1)), self.second(x.flatten(1))

    own = {"weight_decay": 0.0, "momentum": 0.0, "nesterov": False, "learning_rate": 0.5}
    recipe = Recipe(batch=96, auxiliary=0.3, label_smoothing=0.1, **own)
    trainer = Trainer(TwoHeads, OBJECTIVE, recipe, 1, CPU, 1)
    plain, (x, y) = copy.deepcopy(trainer.network), images()
    [row] = trainer.train(lambda epoch: [(x, y)], [])
    smooth = 0.9 * torch.nn.functional.one_hot(y, 3) + 0.1 / 3
    each = [-(smooth * out.log_softmax(1)).sum(1).mean() for out in plain(x)]
    loss = each[0] + 0.3 * each[1]
    loss.backward()
    assert row.loss == pytest.approx(loss.item(), rel=1e-5)
    for ours, theirs in zip(trainer.network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs - 0.5 * theirs.grad, rtol=1e-4, atol=1e-6)


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "one.pt"
    fresh(path).train(batches, valid(), 1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"one\.pt: not a checkpoint .*delete it to train anew"):
        fresh(path)
    save_checkpoint(path, {"network": {}})
    with pytest.raises(DataError, match="of another network"):
        fresh(path)


def test_a_checkpoint_runs_no_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (print, ("boom",))

    path = tmp_path / "bomb.pt"
    torch.save({"network": Bomb()}, path)
    with pytest.raises(DataError, match="not a checkpoint"):
        load_checkpoint(path)


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(ConfigError, match="is no device: use auto, cpu or cuda"):
        Device("toaster")
    with pytest.raises(ConfigError, match="needs a GPU"):
        Device("cpu", Precision.float16)
    with pytest.raises(ConfigError, match="threads must be at least 1"):
        Device("cpu", threads=0)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"device=cuda cannot be used"):
            Device("cuda")


def test_a_device_gives_back_what_it_changed():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with Device("cpu", deterministic=True, threads=1).computing():
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0}, {"batch": 0}, {"final_rate": -1.0}, {"momentum": 1.0},
        {"max_gradient": 0.0}, {"momentum": 0.0}, {"drop_path": 1.0},
    ],
)  # fmt: skip
def test_recipes_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match="recipe"):
        Recipe(**wrong)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_every_optimiser_learns_and_goes_on_from_a_checkpoint(tmp_path, optimizer):
    rate = 0.1 if optimizer is Optimizer.sgd else 0.01
    recipe = Recipe(batch=32, learning_rate=rate, optimizer=optimizer)
    whole = fresh(recipe=recipe)
    rows = whole.train(batches, valid())
    assert rows[-1].val_score > 60
    fresh(tmp_path / "one.pt", recipe=recipe).train(batches, valid(), 2)
    parts = fresh(tmp_path / "one.pt", recipe=recipe)
    parts.train(batches, valid())
    assert_same(weights(parts), weights(whole))


def test_inherited_weights_stand_in_the_place_of_drawn_ones():
    parent = fresh()
    parent.train(batches, valid(), 1)
    state = weights(parent)
    heir = Trainer(network, OBJECTIVE, Recipe(batch=32), 4, CPU, 1, inherited=state)
    assert_same(weights(heir), state)
    del state["classifier.bias"]
    with pytest.raises(DataError, match="got those of another one"):
        Trainer(network, OBJECTIVE, Recipe(batch=32), 4, CPU, 1, inherited=state)
