from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp

from nasrun.algorithms.nash import NASH
from nasrun.benchmarks.trainings import TrainingLog
from nasrun.budget import Budget
from nasrun.errors import UnsupportedError
from nasrun.evaluators.inheriting import Inheriting
from nasrun.evaluators.training import Training
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoHardware
from nasrun.nets.recipe import Precision, Recipe
from nasrun.nets.trainer import Trainer
from nasrun.play import play
from nasrun.record.history import History
from nasrun.spaces.nb201 import NB201
from nasrun.spaces.net2net import Net2Net
from nasrun.spec import Phase
from nasrun.streams import Streams
from nasrun.tasks.synthetic_images import SyntheticImages

SPACE = Net2Net(blocks=2, depth=2, filters=[16, 32], full=0)
SMALL, DEEP = (SPACE.parse(f"[C(3,16){more}] [C(3,16)] []") for more in ("", ", C(3,16)"))
FAST = {"device": "cpu", "threads": 1, "precision": Precision.float32, "channels": 4}


def task(**changes):
    return SyntheticImages("made_up", 3, 8, "v", "t", 48, 96, test_images=48, **changes)


def session(tmp_path, **changes):
    recipe = changes.pop("recipe", Recipe(batch=32, learning_rate=0.05))
    made = Inheriting(recipe=recipe, epochs=2, cache_dir=str(tmp_path), **FAST, **changes)
    return made.opened(SPACE, task())


def measured(own, archs, streams, parents=None, epochs=2):
    lengths = np.full(len(archs), epochs, np.int64)
    parents = None if parents is None else np.stack(parents)
    return own.evaluate(np.stack(archs), epochs=lengths, streams=streams, parents=parents)


def rows(tmp_path):
    return TrainingLog(tmp_path / "trainings" / "trainings.csv").all()


def test_a_lineage_is_trained_once_and_found_again(tmp_path, monkeypatch):
    def lineage(own):
        streams = Streams([0, 1])
        parent = measured(own, [SMALL, SMALL], streams)
        child = measured(own, [DEEP, DEEP], streams, [SMALL, SMALL])
        again = measured(own, [SMALL, DEEP], streams, [SMALL, SMALL])
        grandchild = measured(own, [DEEP, DEEP], streams, [SMALL, SMALL])
        return [each.score.tolist() for each in (parent, child, again, grandchild)], child

    first, child = lineage(session(tmp_path))
    # A parent, its child, the parent trained on, and (in the first trial alone) a child of that.
    assert len({row.training for row in rows(tmp_path)}) == 4
    assert (child.parents == SMALL).all()
    assert (child.cost_s > 0).all()
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("trained again"))
    assert lineage(session(tmp_path))[0] == first


def test_a_child_begins_where_its_parent_ended(tmp_path, monkeypatch):
    begun = []
    train = Trainer.train

    def seen(self, *args):
        begun.append({key: value.clone() for key, value in self.network.state_dict().items()})
        return train(self, *args)

    monkeypatch.setattr(Trainer, "train", seen)
    own, streams = session(tmp_path), Streams([0])
    measured(own, [SMALL], streams)
    measured(own, [DEEP], streams, [SMALL])
    build = lambda arch: SPACE.build(arch, task(), own._scale)  # noqa: E731
    parent, child = build(SMALL), build(DEEP)
    request = own._trials(streams)[0][SMALL.tobytes()]
    parent.load_state_dict(own._cache.network(request).state_dict())
    child.load_state_dict(begun[1])
    x = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(child.eval()(x), parent.eval()(x), rtol=1e-4, atol=1e-4)


def test_trials_and_searches_have_lineages_of_their_own(tmp_path):
    own, streams = session(tmp_path), Streams([0, 1])
    measured(own, [SMALL, DEEP], streams)
    with pytest.raises(UnsupportedError, match=r"the parent \[C\(3,16\)\] .* parents first"):
        measured(own, [DEEP, DEEP], streams, [SMALL, SMALL])
    with pytest.raises(UnsupportedError, match="measure parents first"):
        measured(own, [DEEP, DEEP], Streams([0, 1]), [SMALL, DEEP])
    measured(own, [DEEP], other := Streams([5]), epochs=1)
    with pytest.raises(UnsupportedError, match="has trained in full"):
        measured(own, [DEEP], other, [DEEP])


def test_children_of_what_failed_begin_from_scratch(tmp_path):
    own, streams = session(tmp_path, recipe=Recipe(batch=32, learning_rate=1e30)), Streams([0])
    assert np.isnan(measured(own, [SMALL], streams).score).all()
    measured(own, [DEEP], streams, [SMALL])
    scratch = measured(session(tmp_path), [DEEP], Streams([0]))
    assert np.isfinite(scratch.score).all()
    names = {row.training for row in rows(tmp_path)}
    assert len(names) == 3


def test_a_space_without_morphisms_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="space=nb201 cannot hand weights on"):
        Inheriting(cache_dir=str(tmp_path)).opened(NB201(), task())


def test_the_rows_say_so(tmp_path):
    assert session(tmp_path).protocol.fidelity.endswith(", from inherited weights")


@pytest.mark.slow
def test_inherited_weights_beat_training_from_scratch_at_equal_epochs(tmp_path):
    """The mean over the first four children, of eight searches: one-sided, at a level of 1 %.

    Searches, not children, are compared, since children of one parent are alike; and each has a
    training seed of its own. With one seed for all, the eight would have begun with one and the
    same training of the first network, whose luck would have decided for all of them.
    """
    space = Net2Net(blocks=3, depth=4, filters=[16, 32, 64, 96], full=1)
    hard = replace(task(noise=1.5), train_images=512, valid_images=512)
    gains: list[float] = []
    for seed in range(8):
        settings = {
            "recipe": Recipe(batch=64, learning_rate=0.05), "epochs": 3, "seed": seed,
            "cache_dir": str(tmp_path), **FAST,
        }  # fmt: skip
        inheriting = Inheriting(**settings).opened(space, hard)
        device, streams = NoHardware().opened(space, hard), Streams([seed])
        problem = problem_of(space, hard, inheriting, device, streams)
        history = History(np.array([seed]))
        play(NASH(children=4), problem, Budget(evaluations=5), streams, Phase.SEARCH, history)
        children = [each for each in history._measured if each.parents is not None]
        scratch = Training(**settings).opened(space, hard)
        alone = [scratch.evaluate(c.archs, epochs=c.epochs, streams=streams) for c in children]
        pairs = zip(children, alone, strict=True)
        gains.append(float(np.mean([child.score - own.score for child, own in pairs])))
        assert len(children) == 4
    found = ttest_1samp(gains, 0.0, alternative="greater")
    assert found.pvalue < 0.01, (found, gains)
