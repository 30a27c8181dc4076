import pytest

from nasrun.progress import heard_by, stage, tell


@pytest.fixture
def heard():
    """What a listener hears: the share of the outermost stage, and all texts."""
    said = []
    with heard_by(
        lambda stages: said.append(
            (round(stages[0].share, 3) if stages else None, [own.text for own in stages])
        )
    ):
        yield said


def test_a_stage_tells_how_far_it_is_and_what_it_is_at(heard):
    with stage("supernet", 0.5):
        tell(0.75, lambda: "epoch 4 of 5")
    assert heard == [(0.5, ["supernet"]), (0.75, ["supernet, epoch 4 of 5"]), (None, [])]


def test_parts_count_alike(heard):
    with stage("final training", parts=4) as own:
        own.begin(2)
        tell(0.5, lambda: "epoch 1 of 2")
    assert heard[-2] == (0.625, ["final training 3 of 4, epoch 1 of 2"])


def test_what_lies_within_is_told_of_the_innermost(heard):
    with stage("meta-training"):
        tell(0.25, lambda: "epoch 2 of 5")
        with stage("training"):
            tell(0.5, lambda: "epoch 6 of 12")
        tell(0.5)
    assert heard[3] == (0.25, ["meta-training, epoch 2 of 5", "training, epoch 6 of 12"])
    assert heard[5] == (0.5, ["meta-training"])


def test_a_stage_ends_with_what_ends_it(heard):
    with pytest.raises(ValueError, match="loss"), stage("training"):
        raise ValueError("loss")
    assert heard[-1] == (None, [])


def test_words_are_made_for_a_listener_alone():
    def words():
        raise AssertionError("nobody listens")

    tell(0.5, words)
    with stage("training"):
        tell(0.5, words)
