"""Where a result comes from: code, versions, data, machine, and the command that made it."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nasrun

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "scipy", "optuna")


def config_hash(config: Mapping[str, Any]) -> str:
    """Twelve hex digits that change with whatever can change a result."""
    text = json.dumps(config, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def provenance(config_id: str, files: Mapping[str, str]) -> dict[str, Any]:
    """The content of ``provenance.json``: the same for two runs by one command on one machine.

    A run that was interrupted has the command that ended it, with ``resume=``.
    """
    return {
        "nasrun": nasrun.__version__,
        **_git(Path(nasrun.__file__).parent),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "device": _device(),
        "command": sys.argv,
        "config_hash": config_id,
        "data": dict(sorted(files.items())),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> str:
    """The GPU that this process has computed on, or ``cpu``."""
    torch: Any = sys.modules.get("torch")  # a run that never imported it used no GPU
    if torch is None or not torch.cuda.is_initialized():
        return "cpu"
    return torch.cuda.get_device_name()


@cache  # a sweep's jobs share the process, and its code was loaded once
def _git(folder: Path) -> dict[str, Any]:
    """Commit and dirty flag of a source checkout; both None for an installed wheel."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch"],
            capture_output=True, text=True, timeout=10, check=True,
        ).stdout.splitlines()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    commit = next((line.split()[-1] for line in answer if line.startswith("# branch.oid")), None)
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in answer)}
