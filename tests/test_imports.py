import ast
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import nasrun
from nasrun.__main__ import CONF

ROOT = Path(nasrun.__file__).parent
# A module may import from its own line and from the lines above; never from one below.
LAYERS = (
    {"errors", "streams", "progress", "screen", "drafts", "locks"},
    {
        "ranges",
        "files",
        "measurements",
        "input_files",
        "images",
        "keys",
        "names",
        "targets",
        "config_files",
    },
    {"machine", "composition"},
    {"programs"},
    {"spec", "budget"},
    {"draws", "csv_input"},
    {"report"},
    {"nets", "benchmarks"},
    {"spaces", "tasks", "hardware", "evaluators", "algorithms", "meta", "features", "predictors"},
    {"record"},
    {"meter"},
    {"play"},
    {"experiment"},
    {"meta_training", "meta_records", "fronts"},
    {"pipeline", "studies"},
    {"config", "identity"},
    {"jobs", "unused"},
    {"live"},
    {"console", "cells", "traces", "resume"},
    {"sweep", "job", "trackers", "rerun"},
    {"sweepers"},
    {"found", "results", "verbs", "completion", "__main__"},
)
MIDDLE = next(names for names in LAYERS if "spaces" in names)
ROOT_MODULE = "__init__"  # holds the version alone
# Imported late, inside a function: the entry point stays light, and so does the end of a sweep.
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def group(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ROOT_MODULE


MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_one_way(module):
    own = module.parts[0].removesuffix(".py")
    if own == ROOT_MODULE:
        return
    for imported in imports(ROOT / module):
        if not imported.startswith("nasrun."):
            continue
        other = group(imported)
        if other not in LAYER:
            continue  # a name of nasrun/__init__.py
        assert LAYER[other] <= LAYER[own], f"{module} imports {imported}"
        if own in MIDDLE and other in MIDDLE:
            assert other == own, f"{module} imports its neighbour {imported}"


# The modules that a YAML file names; the others in the folder hold what several of them share.
ALGORITHMS = {
    node._target_.rpartition(".")[0]
    for node in map(OmegaConf.load, (CONF / "algorithm").glob("*.yaml"))
    if "_target_" in node
}


@pytest.mark.parametrize("path", sorted((ROOT / "algorithms").glob("*.py")), ids=lambda p: p.stem)
def test_an_algorithm_imports_no_other_algorithm(path):
    own = f"nasrun.algorithms.{path.stem}"
    assert not (ALGORITHMS - {own}) & set(imports(path))


def test_every_module_has_a_layer():
    names = {module.parts[0].removesuffix(".py") for module in MODULES} - {ROOT_MODULE}
    assert names == set(LAYER)


def test_there_is_no_utils_module():
    assert not [module for module in MODULES if module.stem in {"utils", "helpers", "misc"}]


@pytest.mark.parametrize("statement", ["import nasrun", "import nasrun.__main__"])
def test_the_entry_point_imports_nothing_heavy(statement):
    heavy = "{'torch', 'pandas', 'scipy', 'matplotlib', 'optuna', 'rich', 'numpy'}"
    code = f"import sys; {statement}; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
