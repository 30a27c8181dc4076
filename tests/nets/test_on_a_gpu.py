"""What holds on a GPU: on a pretended one anywhere, and on a real one where there is one."""

import functools
from collections import Counter
from dataclasses import replace

import fused_cells
import numpy as np
import pytest
import torch
from composed import CONF, ONE_SHOT, composed, make
from pretended import PLACE, PretendedDevice, PretendedGPU
from toys import ToyEvaluator

from nasrun.algorithms import supernet_training
from nasrun.config import check
from nasrun.evaluators.training import Training
from nasrun.images import Images
from nasrun.nets import cohort_trainer
from nasrun.nets import trainer as trainer_module
from nasrun.nets.classification import Classification
from nasrun.nets.device import Device
from nasrun.nets.footprint import footprint
from nasrun.nets.graphs import fast_forward
from nasrun.nets.latency import latency_ms
from nasrun.nets.loader import SMALL_PX, Augmentation, load_batches
from nasrun.nets.recipe import Precision, Recipe
from nasrun.nets.trainer import Trainer
from nasrun.nets.zero_cost import proxies
from nasrun.pipeline import search
from nasrun.spaces.darts import DARTS
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale, Task
from nasrun.streams import Streams
from nasrun.tasks.synthetic_images import SyntheticImages

PX, CLASSES = 8, 3
TASK = Task("toy", CLASSES, PX, "toy", "toy", 100, 100)
THREE_CLASSES = Classification(3)
SPACE = NB201()
CELL = SPACE.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
)
DEAD_END = SPACE.parse(  # a convolution whose weights have no gradient: nothing reads node 1
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"
)
MOMENTS = (125.0, 120.0, 110.0), (60.0, 61.0, 62.0)
TINY = (
    "task=synthetic_images", "algorithm.batch=16", "scale.channels=4", "scale.cells=1",
    "scale.train_images=16", "scale.valid_images=16", "scale.candidates=2", "scale.epochs=2",
)  # fmt: skip
CONTROLLED = ("algorithm.updates=32", "algorithm.samples=2", "algorithm.hidden=4")
OWN = {
    "enas": CONTROLLED,
    "enas_macro": (*CONTROLLED, "space=enas_macro", "scale.cells=null"),
    "enas_rnn": (
        *CONTROLLED, "space=rnn_cell", "scale.cells=null", "task=text", "task.classes=20",
        "task.steps=4", "task.train_images=40", "task.valid_images=40", "task.test_images=4",
    ),
}  # fmt: skip
MOST_WAITS = 6  # of an update: one for each forward pass, and what a method draws on the host


def pictures(count, px=PX):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 3, px, px), np.uint8)
    return Images(pixels, generator.integers(0, CLASSES, count))


def cell(arch=CELL):
    return SPACE.build(arch, TASK, Scale(4, 1))


def darts_network():
    """With a second head in training."""
    space = DARTS(nodes=2, operations=["skip_connect", "sep_conv_3x3", "max_pool_3x3"])
    return space.build(space.at(np.array(7)), TASK, Scale(4, 3))


def one_shot_search(name, *more):
    """The algorithm after two epochs."""
    said = {word.partition("=")[0]: word for word in (*TINY, *OWN.get(name, ()), *more)}
    made = check(composed(f"algorithm={name}", *said.values()), [CONF / "task"])
    # A search by shared weights never asks the evaluator.
    opened = replace(made, evaluator=ToyEvaluator()).opened()
    outcome, _ = search(opened, np.array([3]), None)
    assert outcome.evaluations.tolist() == [2]
    return made.algorithm


# On a pretended one


@pytest.fixture
def pretended(monkeypatch):
    """PyTorch without what the pretended device does not know; none of it matters here."""
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    plain = functools.partial(torch.optim.SGD, foreach=False)
    monkeypatch.setattr(
        torch.optim, "SGD", lambda *given, fused=False, **more: plain(*given, **more)
    )
    monkeypatch.setattr(trainer_module, "fast_forward", lambda network, *given: network)
    monkeypatch.setattr(supernet_training, "RecordedMixture", lambda network, device: network)
    monkeypatch.setattr(
        supernet_training, "Device", lambda *given, **more: PretendedDevice("cuda", given[1])
    )
    with PretendedGPU() as gpu:
        yield gpu


def test_pretended_tensors_tell_two_devices_apart(pretended):
    here, there = torch.ones(3), torch.ones(3).to(PLACE)
    with pytest.raises(RuntimeError, match="two devices"):
        here + there
    with pytest.raises(RuntimeError, match="another device"):
        torch.rand(3, generator=torch.Generator(), device=PLACE)
    pretended.waits.clear()
    assert float(there.sum()) == 3.0
    assert there.cpu().tolist() == [1.0, 1.0, 1.0]
    assert Counter(pretended.waits) == {
        "aten._local_scalar_dense.default": 1, "aten._to_copy.default": 1,
    }  # fmt: skip


@pytest.mark.parametrize("px", [PX, 72])
@pytest.mark.parametrize("augmentation", [None, Augmentation(flip=True, pad=1, cutout=3)])
def test_batches_come_without_waiting_and_are_the_cpus(pretended, px, augmentation):
    def loader(device):
        return load_batches(pictures(10, px), *MOMENTS, 4, device, augmentation)

    ours, cpus = loader(PLACE), loader("cpu")
    for batches, wanted in ((ours.epoch(1, 2), cpus.epoch(1, 2)), (iter(ours), iter(cpus))):
        first, first_wanted = next(batches), next(wanted)
        pretended.waits.clear()
        rest = list(batches)
        assert not pretended.waits
        pairs = zip([first, *rest], [first_wanted, *wanted], strict=True)
        for (x, y), (x_wanted, y_wanted) in pairs:
            assert x.device == y.device == PLACE
            # Torchvision resizes bytes in whole numbers on a CPU alone.
            close = {"rtol": 0.0, "atol": 0.2} if px > SMALL_PX and augmentation else {}
            torch.testing.assert_close(x.cpu(), x_wanted, **close)
            assert torch.equal(y.cpu(), y_wanted)


@pytest.mark.parametrize("build", [cell, darts_network])
def test_a_training_waits_once_an_epoch_however_many_batches_there_are(pretended, build):
    recipe = Recipe(batch=4, max_gradient=5.0, label_smoothing=0.1, drop_path=0.1)
    waits = []
    for count in (8, 16):
        loader = load_batches(pictures(count), *MOMENTS, 4, PLACE, Augmentation(flip=True))
        trainer = Trainer(build, THREE_CLASSES, recipe, 2, PretendedDevice("cuda"), 777)
        pretended.waits.clear()
        functools.partial(trainer.train, valid=loader)(lambda at, own=loader: own.epoch(0, at))
        waits.append(len(pretended.waits))
        assert not trainer.failure
        assert trainer.done == 2
    assert waits[0] == waits[1]


@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_supernets_step_mixes_no_devices_and_hardly_waits(pretended, monkeypatch, name):
    updates = []
    method = type(make(name))
    plain = method.update

    def counted(self, x, y):
        assert x.device == y.device == PLACE
        before = len(pretended.waits)
        plain(self, x, y)
        updates.append(len(pretended.waits) - before)

    monkeypatch.setattr(method, "update", counted)
    algorithm = one_shot_search(name)
    assert all(weight.device == PLACE for weight in algorithm.weights)
    assert len(updates) == 2
    assert max(updates) <= MOST_WAITS, updates


def test_scores_and_latencies_of_a_pretended_gpu(pretended):
    device = PretendedDevice("cuda")
    x = torch.randn(4, 3, PX, PX, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 0])
    with device.seeded(1):
        network = cell()
    wanted = proxies(network, x, y)
    found = proxies(network.to(PLACE), x.to(PLACE), y.to(PLACE))
    assert found == pytest.approx(wanted, rel=1e-4)
    assert latency_ms(cell(), (1, 3, PX, PX), device, runs=2, warm_up=1) > 0


def recorded_by(monkeypatch, fake):
    """A network, how it is called where ``fake`` records passes, and the sample for that."""
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fake)
    network = cell().train()
    x = torch.randn(4, 3, PX, PX)
    return network, fast_forward(network, Recipe(), PretendedDevice("cuda"), x), x


def test_a_network_that_cannot_be_recorded_stays_as_it_was(monkeypatch, caplog):
    seen = []

    def broken(network, samples, allow_unused_input):
        seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        network(*samples)
        raise RuntimeError("out of memory\nand more")

    network, forward, _ = recorded_by(monkeypatch, broken)
    assert forward is network
    assert "no CUDA graph of this network (out of memory)" in caplog.text
    assert all(torch.equal(seen[0][name], t) for name, t in network.state_dict().items())


def test_only_batches_of_the_recorded_shape_are_replayed(monkeypatch):
    def fake(network, samples, allow_unused_input):
        assert allow_unused_input
        network(*samples)
        network.forward = lambda x: "replayed"

    network, forward, x = recorded_by(monkeypatch, fake)
    assert forward(x) == "replayed"
    assert forward(x[:3]).shape == (3, CLASSES)
    assert int(network.stem[1].num_batches_tracked) == 1  # the recording's pass does not count
    assert fast_forward(network, Recipe(), PretendedDevice("cuda"), x, parts=2) is network


# On a real one

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is at hand")


def exact(**changes):
    return Device("cuda", Precision.float32, deterministic=True, **changes)


def loader_of(device, count=100, batch=32):
    """The last batch is smaller, so that graphs have one that they were not recorded for."""
    return load_batches(
        pictures(count), *MOMENTS, batch, device.processor, Augmentation(flip=True, pad=1)
    )


def trained(device, build=cell, epochs=3, until=None, checkpoint=None, **recipe):
    loader = loader_of(device)
    made = Trainer(
        build, THREE_CLASSES, Recipe(batch=32, **recipe), epochs, device, 777, checkpoint
    )
    made.train(lambda epoch: loader.epoch(1, epoch), loader, until)
    assert not made.failure
    return made


def same(one, two, close=0.0):
    ours, theirs = one.network.state_dict(), two.network.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        if close:
            torch.testing.assert_close(tensor, theirs[name], rtol=close, atol=close, msg=name)
        else:
            assert torch.equal(tensor, theirs[name]), name


@on_gpu
@pytest.mark.parametrize("build", [cell, lambda: cell(DEAD_END), darts_network])
def test_recorded_passes_learn_what_plain_ones_learn(monkeypatch, caplog, build):
    recorded = trained(exact(), build)
    assert "no CUDA graph" not in caplog.text
    assert "forward" not in vars(recorded.network)
    monkeypatch.setattr(trainer_module, "fast_forward", lambda network, *given: network)
    same(recorded, trained(exact(), build), close=1e-4)


@on_gpu
@pytest.mark.parametrize("max_gradient", [None, 0.5])
@pytest.mark.parametrize("recorded", [True, False])
def test_networks_together_learn_what_each_learns_alone(
    caplog, monkeypatch, recorded, max_gradient
):
    """At a rate at which float32 stays close; with a last batch that no graph was recorded for."""
    device = Device("cuda", Precision.float32)
    recipe = Recipe(batch=32, learning_rate=0.01, max_gradient=max_gradient)
    if not recorded:
        monkeypatch.setattr(cohort_trainer, "fast_step", lambda step, *given: step)

    def made():
        return [Trainer(cell, THREE_CLASSES, recipe, 3, device, seed) for seed in (777, 888, 999)]

    ours, theirs, loader = made(), made(), loader_of(device)
    batches = [lambda epoch, seed=seed: loader.epoch(seed, epoch) for seed in (1, 2, 3)]
    cohort_trainer.train_together(ours, batches, loader, 3)
    assert "no CUDA graph" not in caplog.text
    for one, other, own in zip(ours, theirs, batches, strict=True):
        other.train(own, loader)
        assert [row.epoch for row in one.rows] == [1, 2, 3]
        same(one, other, close=1e-2)


@on_gpu
def test_float32_learns_what_a_cpu_learns():
    """At a rate at which it stays close: at .1 a change of 1e-7 alone comes to 1e-2 on a CPU."""
    cpu = trained(Device("cpu", Precision.float32), epochs=1, learning_rate=0.01)
    ours = trained(exact(), epochs=1, learning_rate=0.01)
    ours.network.cpu()
    same(ours, cpu, close=1e-2)


@on_gpu
@pytest.mark.parametrize("channels", [16, 32, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpus_kernels_compute_what_cells_compute(channels, dtype):
    """float32 to its rounding; bfloat16 no farther from float64 than PyTorch's own kernels are."""
    cells, x, gradient = fused_cells.made(7, channels, pictures=64, px=11)
    wanted = fused_cells.by_themselves(cells, x, gradient)
    ours = fused_cells.by_kernels(cells, x.to("cuda", dtype), gradient.to("cuda", dtype))
    if dtype is torch.float32:
        return fused_cells.assert_equal(ours, wanted, 1e-4)
    theirs = fused_cells.by_themselves(cells, x.to("cuda", dtype), gradient.to("cuda", dtype))
    for name, tensor in wanted.items():
        error, usual = ((found[name].double().cpu() - tensor).norm() for found in (ours, theirs))
        assert error <= 1.5 * usual + 1e-3 * tensor.norm(), (name, float(error), float(usual))


@on_gpu
@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("max_gradient", [None, 5.0])
def test_every_precision_trains(precision, max_gradient):
    made = trained(Device("cuda", precision), max_gradient=max_gradient)
    assert all(np.isfinite(row.loss) for row in made.rows)
    assert made.rows[-1].train_score > 0


@on_gpu
@pytest.mark.parametrize("build", [cell, darts_network])
@pytest.mark.parametrize("precision", [Precision.float32, Precision.auto])
def test_deterministic_trainings_repeat_bit_by_bit(build, precision):
    device = Device("cuda", precision, deterministic=True)
    assert device.label.endswith("/deterministic")
    same(trained(device, build, drop_path=0.2), trained(device, build, drop_path=0.2))


@on_gpu
@pytest.mark.parametrize("precision", [Precision.float32, Precision.float16])
def test_a_stopped_training_ends_with_the_same_weights(tmp_path, precision):
    device = Device("cuda", precision, deterministic=True)
    path = tmp_path / "one.pt"
    trained(device, until=1, checkpoint=path)
    same(trained(device, checkpoint=path), trained(device))


@on_gpu
def test_a_checkpoint_of_a_gpu_is_read_on_a_cpu(tmp_path):
    path = tmp_path / "one.pt"
    theirs = trained(exact(), until=1, checkpoint=path)
    ours = Trainer(
        cell, THREE_CLASSES, Recipe(batch=32), 3, Device("cpu", Precision.float32), 777, path
    )
    theirs.network.cpu()
    same(ours, theirs)


@on_gpu
def test_a_batch_is_halved_after_a_graph_was_recorded(caplog):
    device = Device("cuda")
    loader = loader_of(device)
    short = [True, True, False, False]

    def batches(epoch):
        for number, pair in enumerate(loader.epoch(1, epoch)):
            if number == 2 and short.pop(0) and epoch:
                raise torch.OutOfMemoryError("CUDA out of memory")
            yield pair

    made = Trainer(cell, THREE_CLASSES, Recipe(batch=32), 3, device, 777)
    made.train(batches, loader)
    assert "computed in 2 parts" in caplog.text
    assert (made.parts, made.failure, made.done) == (2, "", 3)


@on_gpu
def test_two_processes_train_on_one_gpu(tmp_path):
    task = SyntheticImages("made_up", 3, 8, "made-up-valid", "made-up", 48, 96, test_images=48)
    made = Training(
        Recipe(batch=32, learning_rate=0.05), epochs=2, score_epochs=1, score_seeds=[1],
        channels=4, cells=1, device="cuda", parallel=2, cache_dir=str(tmp_path),
    )  # fmt: skip
    made = made.opened(SPACE, task)
    archs = SPACE.at(np.array([9000, 3, 700]))
    found = made.evaluate(archs, epochs=np.full(3, 2), streams=Streams([0]))
    assert (found.score > 0).all()
    made.score(archs[:1], task)
    made.export(archs[0], task, tmp_path / "best", ["weights", "torchscript"])


@on_gpu
def test_latency_is_measured_after_the_gpu_is_done():
    device = Device("cuda", Precision.float32)
    small = latency_ms(cell(), (1, 3, 32, 32), device)
    wide = SPACE.build(CELL, TASK, Scale(128, 3))
    assert 0 < small < latency_ms(wide, (256, 3, 32, 32), device)


@on_gpu
@pytest.mark.parametrize("name", ONE_SHOT)
def test_one_shot_methods_search_on_a_gpu(name):
    algorithm = one_shot_search(name, "algorithm.device=cuda")
    assert algorithm.processor.on_gpu
    assert all(weight.is_cuda and weight.isfinite().all() for weight in algorithm.weights)


@on_gpu
def test_zero_cost_scores_are_a_cpus():
    x = torch.randn(4, 3, PX, PX, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 0])
    with Device("cpu").seeded(1):
        network = cell()
    wanted = proxies(network, x, y)
    with exact().computing():
        found = proxies(network.cuda(), x.cuda(), y.cuda())
    assert found == pytest.approx(wanted, rel=0.05)
    assert footprint(network, PX)[0] == wanted["params"]
