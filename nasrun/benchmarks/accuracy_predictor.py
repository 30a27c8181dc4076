"""Once-for-all's accuracy predictor: a file of weights that knows what its networks score."""

from pathlib import Path

import numpy as np

from nasrun.errors import ConfigError, DataError
from nasrun.input_files import require_file
from nasrun.spec import Floats, Ints

INPUTS = "once_for_all"  # the encoding that it takes
WIDTHS = (128, 400, 400, 400, 1)  # of the layers, all but the last with a ReLU behind it
LEAST_PX, STEP_PX, SIZES = 112, 16, 8  # of the images' sizes that it tells apart


def size_onehot(pixels: Ints) -> Floats:
    """``(n, 8)`` of the images' sizes ``(n,)``; each entry is for the 16 pixels from its own on."""
    return np.eye(SIZES)[(pixels - LEAST_PX) // STEP_PX]


def tells_apart(pixels: int) -> bool:
    """Whether there is an entry for images of this size."""
    return 0 <= (pixels - LEAST_PX) // STEP_PX < SIZES


class AccuracyPerceptron:
    """Cai et al., "Once-for-All" (ICLR 2020); the file is ``acc_predictor.pth`` of the authors.

    No code in the file is run.

    Raises:
        ConfigError: there is no such file.
        DataError: it is another one.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ConfigError(
                f"{path}: expected once-for-all's acc_predictor.pth, found no file: get "
                "ofa/acc_predictor.pth of github.com/han-cai/files, or name it with evaluator.path"
            )
        self._layers = _read(path)

    def predicted(self, inputs: Floats) -> Floats:
        """``(n,)`` accuracies in % of ``inputs (n, 128)``."""
        x, last = inputs, len(self._layers)
        for number, (weight, bias) in enumerate(self._layers, 1):
            x = x @ weight.T + bias
            x = np.maximum(x, 0.0) if number < last else x
        return 100.0 * x[:, 0]


def _read(path: Path) -> list[tuple[Floats, Floats]]:
    """Weights ``(out, in)`` and biases ``(out,)`` of each layer."""
    import torch

    require_file(path)
    places = [2 * at for at in range(len(WIDTHS) - 1)]  # ReLUs stand between
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        pairs = [(state[f"{at}.weight"], state[f"{at}.bias"]) for at in places]
        layers = [(weight.double().numpy(), bias.double().numpy()) for weight, bias in pairs]
    except Exception as error:  # a damaged file can fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not once-for-all's accuracy predictor ({reason})") from None
    shapes = [weight.shape for weight, _ in layers]
    wanted = list(zip(WIDTHS[1:], WIDTHS[:-1], strict=True))
    if shapes != wanted or any(bias.shape != weight.shape[:1] for weight, bias in layers):
        raise DataError(
            f"{path}: expected weights of shapes {wanted}, as once-for-all's accuracy predictor "
            f"has them, found {shapes}"
        )
    return layers
