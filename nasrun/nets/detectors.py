"""The detectors by name."""

from nasrun.nets.detection import Detection
from nasrun.nets.fcos import FCOS

DETECTORS: dict[str, type[Detection]] = {"fcos": FCOS}
