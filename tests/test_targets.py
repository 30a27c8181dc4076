import sys

import pytest

from nasrun import targets
from nasrun.errors import ConfigError
from nasrun.targets import require_own_target


def test_the_packages_of_the_group_are_allowed():
    require_own_target("nasrun.algorithms.rea.REA", "algorithm", "nasrun.algorithms")


REFUSED = [
    "os.system", "builtins.eval", "subprocess.Popen", "numpy.load", "nasrun.files.write_csv",
    "nasrun.algorithms_of_mine.X", "torch.hub.load", "_pytest.config.main",
]  # fmt: skip


@pytest.mark.parametrize("target", REFUSED)
def test_a_module_from_elsewhere_is_refused_before_it_is_imported(target):
    before = set(sys.modules)
    with pytest.raises(ConfigError, match=r"is none of nasrun\.algorithms\.\*"):
        require_own_target(target, "algorithm", "nasrun.algorithms")
    assert {name for name in set(sys.modules) - before if name.startswith("torch")} == set()


@pytest.mark.parametrize("target", [3, None, "", "REA", "a..b", "a.b;c", "../a.b", "a.b\n"])
def test_what_is_no_dotted_name_is_refused(target):
    with pytest.raises(ConfigError, match="must be the dotted name of a class"):
        require_own_target(target, "algorithm", "nasrun.algorithms")


@pytest.mark.parametrize("kind", ["module", "package", "namespace"])
def test_a_folder_that_the_user_puts_on_the_path_is_allowed(tmp_path, monkeypatch, kind):
    files = {"module": "own_m.py", "package": "own_p/__init__.py", "namespace": "own_n/part.py"}
    file = tmp_path / files[kind]
    file.parent.mkdir(exist_ok=True)
    file.write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    top = f"own_{kind[0]}"
    require_own_target(f"{top}.part.Mine", "algorithm", "nasrun.algorithms")
    assert top not in sys.modules


def test_an_installed_package_that_needs_nasrun_is_allowed(monkeypatch):
    found = {"numpy": ["numpy-of-mine"], "scipy": ["scipy"]}
    needs = {"numpy-of-mine": ["nasrun>=0.1; extra == 'x'"], "scipy": ["nasrun-tools", "numpy"]}
    monkeypatch.setattr(targets.metadata, "packages_distributions", lambda: found)
    monkeypatch.setattr(targets.metadata, "requires", needs.__getitem__)
    targets._made_for_nasrun.cache_clear()
    try:
        require_own_target("numpy.load", "algorithm", "nasrun.algorithms")
        with pytest.raises(ConfigError):
            require_own_target("scipy.stats.norm", "algorithm", "nasrun.algorithms")
    finally:
        targets._made_for_nasrun.cache_clear()
