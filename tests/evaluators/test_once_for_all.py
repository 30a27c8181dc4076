"""Parts of a supernet: what they begin with, by hand, and what cannot be asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nasrun.algorithms.reduction import Reduction
from nasrun.algorithms.sandwich import Sandwich
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.evaluators.once_for_all import OnceForAllWeights
from nasrun.evaluators.training import Training
from nasrun.features.pixels import PixelFeatures
from nasrun.meta.measured_database import MeasuredDatabase
from nasrun.meta_records import inputs_of
from nasrun.nets.trained_supernet import supernet_key
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale, drawn_from
from nasrun.streams import Streams
from nasrun.tasks.synthetic_images import SyntheticImages

SPACE = MobileNetV3(
    name="tiny", depths=[1, 2], channels=[8, 8, 8, 8, 8, 8, 8, 16, 16], kernels=[3, 5],
    strides=[1, 1, 2, 2, 1, 2], resolutions=[],
)  # fmt: skip
SOURCE = SyntheticImages("made", 6, 8, "made", "made", 120, 120, test_images=60)
LEFT_OUT = [1, 4]
SUPERNET = Sandwich(epochs=2, device="cpu", candidates=1, randoms=1, scale=Reduction())


def evaluator(folder, **changes):
    settings = {
        "source": SOURCE, "supernet": SUPERNET, "left_out": LEFT_OUT, "epochs": 0, "device": "cpu",
        "score_epochs": 1, "score_seeds": [7], "threads": 1, "cache_dir": str(folder),
    }  # fmt: skip
    return OnceForAllWeights(**{**settings, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("once")


def measured(session, archs):
    epochs = np.full(len(archs), session.fidelities[-1])
    return session.evaluate(archs, epochs=epochs, streams=Streams(range(len(archs)))).score


def test_a_part_is_judged_as_it_is_cut_out(folder):
    """Rows of its classes, statistics of its training pictures, accuracy on its validation."""
    task, arch = SOURCE.subset([5, 0, 3]), SPACE.sample(Streams([4]))
    session = evaluator(folder).opened(SPACE, task)
    (found,) = measured(session, arch)
    supernet, images = session._cache._supernet, task.load()
    whole = SPACE.build(arch[0], evaluator(folder).begins_with, Scale())

    def normal(part):
        shape = (3, 1, 1)
        mean, std = (np.reshape(own, shape) for own in (images.mean, images.std))
        return torch.from_numpy(((part.pixels - mean) / std).astype(np.float32))

    supernet.hand_on(whole, arch[0], [normal(images.search_train)])
    with torch.no_grad():
        logits = whole.eval()(normal(images.search_valid))[:, [3, 0, 2]]  # of 0, 2, 3, 5
    right = (logits.argmax(1).numpy() == images.search_valid.labels).mean()
    assert found == pytest.approx(100 * right, abs=100 / len(images.search_valid.labels))
    assert session.fidelities == (0,)
    assert "4 of made (sandwich, 2 epochs)" in session.protocol.fidelity


def test_a_supernet_that_diverges_is_refused(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("nasrun.nets.trained_supernet._loaded", {})
    wild = replace(SUPERNET, learning_rate=1e30, final_rate=1e30, max_gradient=None)
    session = evaluator(tmp_path, supernet=wild).opened(SPACE, SOURCE.subset([0, 2]))
    for _ in range(2):  # nor is it taken from the cache
        with pytest.raises(
            ConfigError, match=r"has diverged, .* evaluator\.supernet\.learning_rate or evaluator"
        ):
            measured(session, SPACE.sample(Streams([0])))
    assert "algorithm.learning_rate" not in caplog.text  # which is another method's


def test_the_supernet_is_trained_for_the_first_network(tmp_path, monkeypatch):
    """A sweep opens what its jobs will open, without a word, before it plays the first."""
    monkeypatch.setattr("nasrun.nets.trained_supernet._loaded", {})  # other tests' is the same one
    session = evaluator(tmp_path).opened(SPACE, SOURCE.subset([0, 2]))
    assert not (tmp_path / "supernets").exists()
    measured(session, SPACE.sample(Streams([0])))
    assert len(list((tmp_path / "supernets").glob("*/supernet.pt"))) == 1


def test_nothing_is_measured_twice(folder):
    task, archs = SOURCE.subset([0, 2]), SPACE.sample(Streams(range(3)))
    first = measured(evaluator(folder).opened(SPACE, task), archs)
    log = folder / "trainings/trainings.csv"
    before = log.read_bytes()
    again = measured(evaluator(folder).opened(SPACE, task), archs)
    assert log.read_bytes() == before
    assert again.tolist() == first.tolist()
    assert len(list((folder / "supernets").iterdir())) == 1


def test_new_classes_begin_with_the_weights_and_a_drawn_classifier(folder):
    task, arch = SOURCE.subset(LEFT_OUT), SPACE.sample(Streams([4]))[0]
    session = evaluator(folder, epochs=1).opened(SPACE, task)
    request = next(iter(session._final_requests(arch, task)))
    state = session._cache._inherited(request)
    supernet = session._cache._supernet
    torch.testing.assert_close(state["stem.weight"], supernet.body.state_dict()["stem.weight"])
    with session._cache.device.seeded(7):
        drawn = request.build().state_dict()
    torch.testing.assert_close(state["classifier.weight"], drawn["classifier.weight"])
    assert session.score(arch[None], task).test_score[0] >= 0


def test_what_cannot_be_asked_for(folder):
    with pytest.raises(UnsupportedError, match=r"epochs=0 judges networks by the supernet's own"):
        evaluator(folder).opened(SPACE, SOURCE.subset(LEFT_OUT))
    with pytest.raises(ConfigError, match=r"1 classes that the supernet was trained on and 1"):
        evaluator(folder).opened(SPACE, SOURCE.subset([0, 1]))
    with pytest.raises(ConfigError, match=r"evaluator\.left_out"):
        evaluator(folder, left_out=[6])
    with pytest.raises(ConfigError, match=r"evaluator\.supernet"):
        evaluator(folder, supernet=None)
    with pytest.raises(ConfigError, match=r"evaluator\.source"):
        evaluator(folder, source=None)
    with pytest.raises(ConfigError, match=r"evaluator\.parallel"):
        evaluator(folder, parallel=2)
    with pytest.raises(UnsupportedError, match="no supernet of which its networks are parts"):
        evaluator(folder).opened(NB201(), SOURCE.subset([0, 2]))


def test_a_supernets_key_knows_what_decides_its_weights():
    key = supernet_key(SUPERNET, SPACE, SOURCE, 1)
    assert key == supernet_key(replace(SUPERNET, device="auto"), SPACE, SOURCE, 1)
    others = [
        (replace(SUPERNET, epochs=3), SPACE, SOURCE, 1),
        (SUPERNET, replace(SPACE, kernels=[3]), SOURCE, 1),
        (SUPERNET, SPACE, SOURCE.subset([0, 1]), 1),
        (SUPERNET, SPACE, SOURCE, 2),
    ]
    assert len({key, *(supernet_key(*other) for other in others)}) == 5


def pool(**changes):
    return MeasuredDatabase(
        **{"features": PixelFeatures(), "class_counts": [2, 3], "tasks": 5, "networks": 3,
           "pictures": 4, "held_out": 0.2, **changes}
    )  # fmt: skip


def test_records_are_what_the_evaluator_scores(folder):
    library = pool().opened(SPACE, SOURCE.subset(LEFT_OUT), evaluator(folder, epochs=4))
    records = library.records()
    assert len(records.archs) == 15
    assert records.held_out.sum() in (3, 6)  # two subsets may be the same
    assert records.features.shape[0] == 4
    at = records.dataset[0]
    shown = [0, 2, 3, 5]
    task = SOURCE.subset([shown[c] for c in records.datasets[at]])
    own = records.dataset == at
    scores = measured(evaluator(folder).opened(SPACE, task), records.archs[own])
    spread = scores.std() or 1.0
    np.testing.assert_allclose(records.score[own], (scores - scores.mean()) / spread)
    assert library.label == "measured_database(15 by once_for_all, 4 classes of made)"


def test_records_are_not_of_the_targets_classes(folder):
    part = replace(SOURCE, name=f"{SOURCE.name}_part")
    for target in (SOURCE.subset([0, 1]), part):
        with pytest.raises(ConfigError, match=r"name them all in evaluator\.left_out"):
            pool().opened(SPACE, target, evaluator(folder))
    with pytest.raises(ConfigError, match="the supernet knows 4"):
        pool(class_counts=[5]).opened(SPACE, SOURCE.subset(LEFT_OUT), evaluator(folder))
    with pytest.raises(UnsupportedError, match="evaluator=once_for_all"):
        pool().opened(SPACE, SOURCE.subset(LEFT_OUT), Training())


def test_the_evaluator_decides_what_is_learnt(folder):
    """Its settings are part of the key; of other libraries they are not."""
    library = pool().opened(SPACE, SOURCE.subset(LEFT_OUT), evaluator(folder))
    recipe = {"algorithm": {"generator": {}}, "space": {}, "meta": {}, "evaluator": {"seed": 1}}

    class Opened:
        class experiment:
            class meta:
                pass

    Opened.experiment.meta.recipe = recipe
    assert inputs_of(Opened, library, "generator")["evaluator"] == {"seed": 1}


def test_a_name_says_where_classes_are_from():
    assert drawn_from("in16") == ("in16", None)
    assert drawn_from("in16[3,17]@8") == ("in16", (3, 17))
    assert drawn_from("birds[small]") == ("birds[small]", None)
