import sys

import pytest

from nasrun import __main__, __version__, verbs
from nasrun.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "verb"),
    [
        ([], False),
        (["report", "x"], True),
        (["anything"], True),
        (["algorithm=rea"], False),
        (["+experiment=catch_fig3"], False),
        (["~tables"], False),
        (["-m", "report"], False),
        (["--help"], False),
        ([""], False),
    ],
)
def test_a_verb_is_a_first_word_without_an_equals_sign(arguments, verb):
    assert verbs.is_verb(arguments) is verb


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("shw", "'shw' is no verb: did you mean nasrun show?"),
        ("resume", "did you mean nasrun resume=DIR?"),
        ("xyz", "'xyz' is no verb: nasrun knows show, report, compare, rerun, draw, convert"),
    ],
)
def test_an_unknown_verb_is_one_sentence(word, sentence):
    with pytest.raises(ConfigError) as refused:
        verbs.perform([word])
    assert sentence in str(refused.value)


@pytest.mark.parametrize("name", verbs.VERBS)
def test_each_says_how_it_is_used(name, capsys):
    with pytest.raises(SystemExit) as ended:
        verbs.perform([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: nasrun {name} ")


@pytest.mark.parametrize("name", verbs.VERBS)
def test_missing_and_unknown_arguments_are_one_sentence(name):
    with pytest.raises(ConfigError, match=rf"^nasrun {name}: .*; see nasrun {name} --help$"):
        verbs.perform([name])
    with pytest.raises(ConfigError, match="--colour"):
        verbs.perform([name, "x", "y", "--colour"])


@pytest.mark.parametrize("place", ["multirun.yaml", ".hydra/config.yaml"])
@pytest.mark.parametrize("verb", ["show", "report", "rerun", "compare"])
def test_a_folder_of_a_study_is_named_as_such(tmp_path, verb, place):
    study, other = tmp_path / "study", tmp_path / "other"
    (study / place).parent.mkdir(parents=True)
    (study / place).write_text("seed: 0\nstudy:\n  _target_: a.B\n  name: predictors\n")
    folders = [str(other), str(study)] if verb == "compare" else [str(study)]
    with pytest.raises(ConfigError, match=r"holds the figures of study=predictors and no search"):
        verbs.perform([verb, *folders])


def command(monkeypatch, *arguments):
    """Exit code of the command in this process."""
    monkeypatch.setattr(sys, "argv", ["nasrun", *arguments])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    return ended.value.code


def test_the_version_is_our_own(monkeypatch, capsys):
    assert command(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"nasrun {__version__}\n"


def test_a_refused_verb_is_an_exit_code_and_a_sentence(monkeypatch, capsys):
    assert command(monkeypatch, "shw") == 2
    message = capsys.readouterr().err
    assert message.startswith("nasrun: 'shw' is no verb")
    assert message.count("\n") == 1


def test_the_help_lists_the_verbs(monkeypatch, capsys):
    assert command(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for line in verbs.described().splitlines():
        assert line in shown
        assert len(line) <= 80


def test_no_verb_needs_torch_to_say_what_it_does():
    import subprocess

    code = (
        "import sys; from nasrun import verbs\n"
        "for name in verbs.VERBS:\n"
        "    try: verbs.perform([name, '--help'])\n"
        "    except SystemExit: pass\n"
        "print(sorted({'torch', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[]", answer.stderr
