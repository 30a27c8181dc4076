"""Miniatures of the tables of layers that ProxylessNAS and once-for-all publish."""

from nasrun.hardware.lookup import keys
from nasrun.spec import Scale

# Once-for-all's names of the layers of a MobileNetV3 of one or two layers a stage, on 224 pixels.
ENDS = [
    "Conv-input:224x224x3-output:112x112x16",
    "Conv_1-input:7x7x160-output:7x7x960",
    "AvgPool2D-input:7x7x960-output:1x1x960",
    "Conv_2-input:1x1x960-output:1x1x1280",
    "Logits-input:1x1x1280-output:1000",
]
FIRST = (
    "112x112x16-output:112x112x16-expand:16-kernel:3-stride:1-idskip:1-se:0-hs:0",
    "112x112x16-output:56x56x24-expand:48-kernel:3-stride:2-idskip:0-se:0-hs:0",
    "56x56x24-output:28x28x40-expand:72-kernel:3-stride:2-idskip:0-se:1-hs:0",
    "28x28x40-output:14x14x80-expand:120-kernel:3-stride:2-idskip:0-se:0-hs:1",
    "14x14x80-output:14x14x112-expand:240-kernel:3-stride:1-idskip:0-se:1-hs:1",
    "14x14x112-output:7x7x160-expand:336-kernel:3-stride:2-idskip:0-se:1-hs:1",
)
SECOND = (
    "56x56x24-output:56x56x24-expand:72-kernel:3-stride:1-idskip:1-se:0-hs:0",
    "28x28x40-output:28x28x40-expand:120-kernel:3-stride:1-idskip:1-se:1-hs:0",
    "14x14x80-output:14x14x80-expand:240-kernel:3-stride:1-idskip:1-se:0-hs:1",
    "14x14x112-output:14x14x112-expand:336-kernel:3-stride:1-idskip:1-se:1-hs:1",
    "7x7x160-output:7x7x160-expand:480-kernel:3-stride:1-idskip:1-se:1-hs:1",
)
LAYERS = [*ENDS, *(f"expanded_conv-input:{own}" for own in (*FIRST, *SECOND))]


def written(latencies):
    """The text of a table, as the authors write theirs."""
    return "".join(f"{key}:\n  count: 50\n  mean: {ms}\n" for key, ms in latencies.items())


def layers_of(space, task):
    """All keys that a space needs for a task."""
    archs = space.covering()
    found = [key for arch in archs for key in keys(space.layers(arch, task, Scale()), task.classes)]
    return list(dict.fromkeys(found))
