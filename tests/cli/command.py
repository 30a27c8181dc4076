"""The installed command and what it leaves, for tests that use it as a user does."""

import csv
import os
import sys
from pathlib import Path

NASRUN = Path(sys.executable).with_name("nasrun")


def environment(cache_dir, **more):
    """The variables of the command; without NASRUN_DATA, so that it sees what comes with pip."""
    clean = {key: value for key, value in os.environ.items() if key != "NASRUN_DATA"}
    return {**clean, "NASRUN_CACHE": str(cache_dir), **more}


def rows(path):
    """The rows of a CSV file."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
