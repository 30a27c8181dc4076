from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.evaluators.accuracy_predictor import AccuracyPredictor
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spec import Task
from nasrun.streams import Streams

SPACE = MobileNetV3()
TASK = Task("imagenet", 1000, 224, "imagenet-train", "imagenet", 1000, 1000)
ARCHS = SPACE.sample(Streams(range(12), "asked"))


def perceptron(widths=(128, 400, 400, 400, 1)):
    torch.manual_seed(0)
    layers = [
        part for inner, out in pairwise(widths) for part in (nn.Linear(inner, out), nn.ReLU())
    ]
    return nn.Sequential(*layers[:-1])


@pytest.fixture
def opened(tmp_path):
    path = tmp_path / "acc_predictor.pth"
    torch.save(perceptron().state_dict(), path)

    def session(space=SPACE, task=TASK, **settings):
        own = {"path": str(path), "cache_dir": str(tmp_path), **settings}
        return AccuracyPredictor(**own).opened(space, task)

    return session


def inputs_by_hand(arch):
    """From the text: kernels, expansions, 0 for a layer that is not there, depths, pixels."""
    kernels, expansions, _, pixels = SPACE.text(arch).split(",")
    rows = [[digit == own for own in "357"] for digit in kernels]
    rows += [[digit == own for own in "346"] for digit in expansions]
    sizes = [112 + 16 * at <= int(pixels) < 128 + 16 * at for at in range(8)]
    return [float(one) for row in (*rows, sizes) for one in row]


def measured(session, archs=ARCHS):
    epochs = np.ones(len(archs), np.int64)
    return session.evaluate(archs, epochs=epochs, streams=Streams(range(len(archs))))


def test_a_score_is_what_the_authors_network_says(opened):
    inputs = torch.tensor([inputs_by_hand(arch) for arch in ARCHS])
    assert inputs.shape == (12, 128)
    assert (inputs[:, 120:].sum(dim=1) == 1).all()
    with torch.inference_mode():
        expected = 100 * perceptron()(inputs)[:, 0].numpy()
    session = opened()
    found = measured(session)
    np.testing.assert_allclose(found.score, expected, rtol=1e-4)
    assert np.ptp(found.score) > 0.01
    assert not found.cost_s.any()
    final = session.score(ARCHS, TASK)
    np.testing.assert_array_equal(final.val_score, found.score)
    assert np.isnan(final.test_score).all()
    np.testing.assert_array_equal(final.flops_m, SPACE.footprint(ARCHS, TASK)[1])
    assert list(session.files) == ["acc_predictor.pth"]


def test_what_does_not_exist_has_no_score(opened):
    archs = ARCHS[:2].copy()
    archs[0, :5] = 0  # two layers a stage, so that the others may decide on nothing
    archs[0, 5:] = 1
    found = measured(opened(), archs)
    assert np.isnan(found.score).tolist() == [True, False]


@pytest.mark.parametrize(
    "space",
    [
        MobileNetV3(width=1.2),
        MobileNetV3(kernels=[3, 5]),
        MobileNetV3(resolutions=[]),
        MobileNetV3(resolutions=[96, 128]),
        MobileNetV3(resolutions=[224, 240]),
    ],
    ids=["wider", "kernels", "no size", "small", "large"],
)
def test_other_networks_are_refused(space, opened):
    with pytest.raises(UnsupportedError, match="has learnt of space=mobilenet_v3 as it is"):
        opened(space)


def test_sizes_at_both_ends_are_its_own(opened):
    space = MobileNetV3(resolutions=[112, 127, 128, 239])
    archs = np.zeros((4, len(space.arity)), np.int64)
    archs[:, -1] = range(4)
    sizes = space.encode(archs, "once_for_all")[:, 120:]
    assert sizes.argmax(axis=1).tolist() == [0, 0, 1, 7]
    assert opened(space).name == "accuracy_predictor"


def test_other_tasks_are_refused(opened):
    other = Task("cifar10", 10, 32, "a", "b", 1, 1)
    with pytest.raises(UnsupportedError, match="task=imagenet alone"):
        opened(task=other)
    with pytest.raises(UnsupportedError, match="this run has task=cifar10"):
        opened().check_final(other)


def test_other_files_are_refused_in_a_sentence(opened, tmp_path):
    with pytest.raises(ConfigError, match=r"expected once-for-all's acc_predictor\.pth"):
        opened(path=str(tmp_path / "none.pth"))
    path = tmp_path / "other.pth"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="not once-for-all's accuracy predictor"):
        opened(path=str(path))
    torch.save({"0.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(DataError, match="not once-for-all's accuracy predictor"):
        opened(path=str(path))
    torch.save(perceptron((124, 400, 400, 400, 1)).state_dict(), path)
    with pytest.raises(DataError, match=r"expected weights of shapes \[\(400, 128\)"):
        opened(path=str(path))
