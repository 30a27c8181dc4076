"""Loads torchvision, beside any build of torch; import it through here alone.

A torchvision wheel that was built for CUDA cannot load its compiled operators beside a CPU-only
torch. It says nothing about that, but while it is imported it gives ``torchvision::nms`` and
``torchvision::qnms`` a shape rule without asking whether they are there, and torch raises
``operator torchvision::nms does not exist``. Declaring the two operators, without any kernel, lets
the import end well. What nasrun uses (transforms, datasets, models) needs no compiled operator; a
call of ``torchvision.ops.nms`` still raises torchvision's own error.
"""

from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.library import Library

OPERATORS = ("nms", "qnms")  # those whose shape rules torchvision registers unasked
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def load_torchvision() -> ModuleType:
    """The module ``torchvision``, whichever wheel is installed; call this before you import it.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: torchvision cannot be imported for another reason than the one above.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if not any(f"torchvision::{name} does not exist" in str(error) for name in OPERATORS):
            raise
        _declare_operators()
        import torchvision
    return torchvision


@cache
def _declare_operators() -> "Library":
    """The declarations; they last as long as the object, hence the cache."""
    from torch.library import Library

    library = Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        library.define(name + SIGNATURE)
    return library
