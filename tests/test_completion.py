from functools import cache

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.completion_plugin import DefaultCompletionPlugin
from hydra.types import RunMode

import nasrun.__main__  # noqa: F401 - sets completion up
from nasrun import completion
from nasrun.files import CONF
from nasrun.verbs import VERBS

GROUPS = [path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"]


@pytest.fixture(scope="module")
def offered():
    """What is offered at the end of a line."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plugin = DefaultCompletionPlugin(GlobalHydra.instance().config_loader())
        yield cache(lambda line: plugin._query("config", line))


def test_the_first_word_may_be_a_verb_or_any_key(offered):
    first = offered("")
    assert set(VERBS) < set(first)
    assert {"algorithm=", "algorithm.", "+experiment=", "+tracker=", "seed="} < set(first)
    assert not {"experiment=", "tracker=", "recipe="} & set(first)
    assert offered("sh") == ["show"]
    assert not set(VERBS) & set(offered("algorithm=rea "))


def test_after_a_verb_the_shell_offers_files(offered):
    assert offered("show ") == []
    assert offered("show out") == []


def test_what_is_offered_is_accepted(offered):
    assert [text for text in offered("+") if text.startswith("+")] == ["+experiment=", "+tracker="]
    assert offered("~") == []
    groups = [text for text in offered("") if text.strip("+=") in GROUPS and text.endswith("=")]
    assert len(groups) > 10
    options = [offered(group)[0] for group in groups]
    for option in options:
        GlobalHydra.instance().config_loader().load_configuration("config", [option], RunMode.RUN)


def test_every_option_of_every_group_is_offered_where_its_packages_are(offered, monkeypatch):
    offered.cache_clear()
    for group in set(GROUPS) - {"recipe"}:  # chosen as recipe@evaluator.recipe
        start = f"+{group}=" if group in completion.ADDED else f"{group}="
        files = {f"{start}{path.stem}" for path in (CONF / group).glob("*.yaml")}
        needing = {f"{'+' * (group in completion.ADDED)}{option}" for option in completion.NEEDED}
        monkeypatch.setattr(completion, "_is_there", lambda package: True)
        assert set(offered(start)) == files
        offered.cache_clear()
        monkeypatch.setattr(completion, "_is_there", lambda package: False)
        assert set(offered(start)) == files - needing
        offered.cache_clear()


def test_a_package_within_one_that_is_missing_is_not_there():
    assert completion._is_there("hydra.plugins")
    assert not completion._is_there("no_such_package.part")
