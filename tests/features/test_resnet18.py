import hashlib
import pickle

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.features import resnet18 as module
from nasrun.features.resnet18 import MEAN, SPREAD, ResNet18
from nasrun.nets.vision import load_torchvision

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32)).astype(np.uint8)


def network():
    load_torchvision()
    from torchvision.models import resnet18

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return resnet18(weights=None).eval()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Weights in torchvision's own format and under its kind of name."""
    folder = tmp_path_factory.mktemp("hub") / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(network().state_dict(), folder / "weights")
    digest = hashlib.sha256((folder / "weights").read_bytes()).hexdigest()
    return (folder / "weights").rename(folder / f"resnet18-{digest[:8]}.pth")


def digits(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def features(path, folder, **more):
    return ResNet18(weights=str(path), checksum=digits(path), cache_dir=str(folder), **more)


@pytest.mark.parametrize("px", [32, 64])
def test_they_are_what_the_network_has_before_its_classifier(file, tmp_path, px):
    pixels = PIXELS.repeat(px // 32, 2).repeat(px // 32, 3)
    heard = []
    own = network()
    own.fc.register_forward_hook(lambda _, given, out: heard.append(given[0]))
    mean, spread = (torch.tensor(values)[:, None, None] for values in (MEAN, SPREAD))
    with torch.no_grad():
        own((torch.from_numpy(pixels) - mean) / spread)
    expected = torch.nn.functional.normalize(heard[0]).numpy()
    found = features(file, tmp_path, px=px).of(pixels)
    assert found.shape == (3, 512)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_grey_and_large_pictures_are_taken(file, tmp_path):
    own = features(file, tmp_path)
    grey = PIXELS[:, :1]
    np.testing.assert_allclose(own.of(grey), own.of(grey.repeat(3, 1)), rtol=1e-4, atol=1e-6)
    flat = np.full((1, 3, 80, 80), 90, np.uint8)
    np.testing.assert_allclose(own.of(flat), own.of(flat[:, :, :32, :32]), rtol=1e-4, atol=1e-5)


def test_pictures_are_looked_at_once(file, tmp_path, monkeypatch):
    first = features(file, tmp_path).of(PIXELS)
    monkeypatch.setattr(module, "_looked_at", None)
    np.testing.assert_array_equal(features(file, tmp_path).of(PIXELS), first)


def test_weights_are_found_where_torchvision_keeps_them(file, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(file.parents[2]))
    own = ResNet18(checksum=digits(file), cache_dir=str(tmp_path))
    assert own.of(PIXELS).shape == (3, 512)


def test_missing_weights_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    expected = r"hub/checkpoints/resnet18-f37072fd.pth: put .* or use features=efficientnet_lite0"
    with pytest.raises(ConfigError, match=expected):
        ResNet18(cache_dir=str(tmp_path)).of(PIXELS)


def test_another_file_is_refused_by_its_checksum(file, tmp_path):
    changed = tmp_path / file.name
    changed.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(DataError, match=rf"begins with {digits(file)}, found {digits(changed)}"):
        ResNet18(weights=str(changed), checksum=digits(file)).of(PIXELS)


class Harmful:
    def __reduce__(self):
        return pytest.fail, ("a pickle has run",)


def test_a_pickle_is_never_run(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"fc.weight": Harmful()}, path)
    with pytest.raises(DataError, match="expected a file of tensors alone"):
        features(path, tmp_path).of(PIXELS)
    path.write_bytes(pickle.dumps(Harmful(), protocol=2))
    with pytest.raises(DataError, match="expected a file of tensors alone"):
        features(path, tmp_path).of(PIXELS)


@pytest.mark.parametrize("state", [{"fc.weight": torch.zeros(2)}, [1, 2], torch.zeros(2)])
def test_weights_of_another_network_are_refused(tmp_path, state):
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    with pytest.raises(DataError, match="expected the state of torchvision's resnet18"):
        features(path, tmp_path).of(PIXELS)


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match=r"features.px must be at least 1"):
        ResNet18(px=0)
    for checksum in ("", "f3707", "weights!", 65 * "a"):
        with pytest.raises(ConfigError, match=r"features.checksum must hold"):
            ResNet18(checksum=checksum)


def test_published_records_need_other_features():
    with pytest.raises(UnsupportedError, match="use features=efficientnet_lite0, or records"):
        ResNet18().class_rows()
