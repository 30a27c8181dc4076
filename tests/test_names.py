from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from nasrun.errors import ConfigError
from nasrun.names import as_value, require_folder, require_name

REFUSED = [
    "../x", "a/b", "a\\b", ".", "..", ".hidden", "", " ", "\x1b[31m", "a\nb", "a\0", "\x9b1m",
    "x" * 101, "ä" * 51,
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_a_name_that_is_no_part_of_a_path_is_refused(name):
    with pytest.raises(ConfigError, match=r"^task\.name names folders"):
        require_name(name, "task.name")


@pytest.mark.parametrize("name", ["rea-10", "REA, tuned", "Zähler", "a[b=5]", "x" * 100, "a..b"])
def test_other_names_stand(name):
    require_name(name, "task.name")


@pytest.mark.parametrize("folder", ["", "  ", None, 3, "a\0b"])
def test_what_names_no_folder_is_refused(folder):
    with pytest.raises(ConfigError, match=r"^cache_dir must name a folder"):
        require_folder(folder, "cache_dir")
    require_folder(".", "cache_dir")


def test_a_home_that_no_shell_has_expanded_is_refused():
    for folder in ("~", "~/x"):
        with pytest.raises(ConfigError, match=r"folder called ~: write cache_dir=\$HOME"):
            require_folder(folder, "cache_dir")
    require_folder("./~", "cache_dir")
    require_folder("~x", "cache_dir")


@pytest.mark.parametrize(
    "name",
    ["a/1", "1", "-2e3", "1_0.5", "null", "True", "inf", "é", "b ", "it's", "a\\b", "a\\", "a\\'b"],
)
def test_hydra_reads_the_folder_that_was_meant(name):
    override = OverridesParser.create().parse_override(f"resume={as_value(Path(name))}")
    assert override.value() == name


@pytest.mark.parametrize("name", ["outputs/x-1", "2026-11-28_12-43-33", "sweep", "."])
def test_a_plain_folder_needs_no_quotes(name):
    assert as_value(Path(name)) == name
