"""What a sweep's jobs read, looked at before the first of them."""

import pytest
from composed import composed

from nasrun.errors import DataError
from nasrun.sweepers import inputs
from nasrun.sweepers.inputs import unreadable


@pytest.fixture
def config(tmp_path):
    def made(*overrides):
        places = (f"data_dir={tmp_path}", f"cache_dir={tmp_path}", "evaluator.score_epochs=null")
        return composed("task=pets", "evaluator=training", *places, *overrides, hydra=True)

    return made


def test_a_missing_file_is_found_and_said_in_the_job_s_own_sentence(config):
    refusal = unreadable({("a",): config(), ("b",): config("task=synthetic_images")})
    assert list(refusal) == [("a",)]
    assert isinstance(refusal[("a",)], DataError)
    assert "finds no oxford-iiit-pet/images in " in str(refusal[("a",)])


def test_jobs_that_read_the_same_are_looked_at_once(config, monkeypatch):
    looked = []
    monkeypatch.setattr(inputs, "_refusal", lambda config: looked.append(config.task.name))
    jobs = {
        (str(number),): config(f"seed={number}", *more)
        for number, more in enumerate(
            [[], ["algorithm.population=5"], ["budget.evaluations=3"], ["task=cifar10"]]
        )
    }
    assert unreadable(jobs) == {}
    assert looked == ["pets", "cifar10"]


def test_a_mistake_in_the_config_is_left_to_the_job(config):
    assert unreadable({("a",): config("algorithm.population=0")}) == {}
