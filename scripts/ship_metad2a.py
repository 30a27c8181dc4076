"""Meta-trains MetaD2A's networks on the published records and puts them into the package.

``python scripts/ship_metad2a.py [generator] [predictor]`` needs NASRUN_DATA with metad2a/, and the
packages of the extra ``metad2a``. What is written is half the size of what is learnt (float16) and
says in its header what it was made from and what that cost. Settings after the names are passed on
to the config, such as ``algorithm.predictor.epochs=40``.
"""

import sys

from hydra import compose, initialize_config_dir

from nasrun.__main__ import CONF
from nasrun.config import check
from nasrun.meta_records import inputs_of, learn_from_records
from nasrun.record.artifact import ship
from nasrun.spec import Library


def main(arguments: list[str]) -> None:
    """Train and write what the arguments name, or both networks."""
    names = [text for text in arguments if "=" not in text] or ["generator", "predictor"]
    overrides = [text for text in arguments if "=" in text]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=["algorithm=metad2a", *overrides])
    opened = check(config, [CONF / "task"]).opened()
    library = opened.pool
    assert isinstance(library, Library)
    assert library.shipped is not None
    for name, artifact in learn_from_records(opened, library, names, anew=True).items():
        path = library.shipped / f"{name}.safetensors"
        ship(artifact, inputs_of(opened, library, name), path)
        print(f"{path}: {path.stat().st_size:,} bytes, {artifact.cost}")


if __name__ == "__main__":
    main(sys.argv[1:])
