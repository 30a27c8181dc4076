"""An ensemble of XGBoost models in JSON: what NAS-Bench-301's surrogates are converted to.

The published members are pickles of Boosters, which only the version of xgboost that wrote them can
read, and which may run anything. They are never opened here: whoever trusts them converts them
once, where they can be loaded (``CONVERSION``).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrun.benchmarks.checksum import sha256
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import read_bytes, read_json_bytes
from nasrun.spec import Floats

if TYPE_CHECKING:
    from xgboost import Booster

VECTOR = "configspace"  # the encoding that the models take
CONVERSION = (
    "where nasbench301 is installed run: import nasbench301, os; "
    "ensemble = nasbench301.load_ensemble('xgb_v1.0'); os.makedirs('nb301/xgb'); "
    "[m.model.save_model(f'nb301/xgb/{i}.json') for i, m in "
    "enumerate(ensemble.model.ensemble_members)]; then put nb301 into data_dir"
)


class Boosted:
    """The members of an ensemble, loaded.

    Args:
        folder: with a JSON file for each member.
        inputs: how many features each of them must take.
        memory: file that keeps the sha256 of large files.

    Raises:
        ConfigError: xgboost is not installed, or the folder is missing.
        DataError: a file that is no such model.
    """

    def __init__(self, folder: Path, inputs: int, memory: Path) -> None:
        self.paths = sorted(folder.glob("*.json"))
        if not self.paths:
            raise ConfigError(
                f"{folder}: expected a file NUMBER.json for each surrogate model, found none: "
                f"{CONVERSION}"
            )
        self.files = {f"{folder.name}/{path.name}": sha256(path, memory) for path in self.paths}
        self._members = [
            _member(path, inputs, memory.with_name(f"{digest[:24]}-{inputs}.checked"))
            for path, digest in zip(self.paths, self.files.values(), strict=True)
        ]

    def predicted(self, features: Floats) -> Floats:
        """``(members, n)`` predictions for ``features (n, inputs)``."""
        import xgboost

        matrix = xgboost.DMatrix(features)
        return np.array([member.predict(matrix) for member in self._members], np.float64)


def _member(path: Path, inputs: int, checked: Path) -> "Booster":
    """A model, once its file is known to be one; ``checked`` remembers that, as it takes seconds.

    xgboost follows links of a tree that lead out of it.
    """
    if not checked.exists():
        _require_model(path, inputs)
        checked.parent.mkdir(parents=True, exist_ok=True)
        checked.touch()
    try:
        import xgboost
    except ImportError:
        raise ConfigError(
            "evaluator=surrogate needs xgboost: pip install 'nasrun[nb301]', or use another "
            "evaluator"
        ) from None
    booster = xgboost.Booster()
    try:
        booster.load_model(path)
    except xgboost.core.XGBoostError as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{path}: xgboost cannot read it ({first}); {CONVERSION}") from None
    return booster


def _require_model(path: Path, inputs: int) -> None:
    """Refuse a file that is no model of so many inputs, with trees that are whole."""
    try:
        data = read_bytes(path)
        learner = read_json_bytes(data)["learner"]
        taken = int(learner["learner_model_param"]["num_feature"])
        trees: Sequence[Any] = learner["gradient_booster"]["model"]["trees"]
        for tree in trees:
            _check(tree)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not an XGBoost model in JSON ({type(error).__name__}: {error}); {CONVERSION}"
        ) from None
    if taken != inputs or not trees:
        raise DataError(
            f"{path}: expected a model of {inputs} inputs with trees, found {taken} inputs and "
            f"{len(trees)} trees; {CONVERSION}"
        )


def _check(tree: Any) -> None:
    """Refuse a tree whose links lead out of it or in a circle.

    Raises:
        ValueError: says what is wrong.
    """
    left, right = (np.array(tree[f"{side}_children"], np.int64) for side in ("left", "right"))
    size = int(tree["tree_param"]["num_nodes"])
    arrays = (left, right, tree["split_conditions"], tree["split_indices"], tree["default_left"])
    if any(len(array) != size for array in arrays):
        raise ValueError(f"a tree of {size} nodes has arrays of other lengths")
    inner = left >= 0
    numbers = np.arange(size)
    if (inner != (right >= 0)).any() or (np.maximum(left, right) >= size).any():
        raise ValueError("a tree's links lead out of it")
    if (np.minimum(left, right)[inner] <= numbers[inner]).any():
        raise ValueError("a tree's links lead backwards")
