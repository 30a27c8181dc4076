"""The detectors by name."""

from nasrun.nets.detection import Detection
from nasrun.nets.faster_rcnn import FasterRCNN
from nasrun.nets.fcos import FCOS
from nasrun.nets.retinanet import RetinaNet

DETECTORS: dict[str, type[Detection]] = {
    "fcos": FCOS,
    "retinanet": RetinaNet,
    "faster_rcnn": FasterRCNN,
}
