"""ENAS: a recurrent controller learns by reinforcement which paths of a supernet are good."""

from dataclasses import dataclass

from nasrun.algorithms.controlled_weights import ControlledWeights


@dataclass
class ENAS(ControlledWeights):
    """Weights learn on the controller's architectures, the controller on their accuracies.

    Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018), as
    NAS-Bench-201 runs it ([A] ``ENAS.py``): the learning rate's cosine has a period parameter of
    ten epochs, so that it goes down and up again; after each epoch of the weights the controller
    takes ``updates`` steps on ``samples`` architectures each, rewarded by their accuracy on one
    validation batch; its baseline moves from the value it has at the start of the epoch; in the
    end the best of ``candidates`` architectures that it draws is taken.

    Departures: candidates compete after every epoch, on plain batches of 512 (the authors': on
    augmented ones of the training's batch size); the baseline moves by an update's mean reward, and
    begins with that of the first update (the authors': by each architecture's own reward, and in
    the first epoch it is the architecture's own accuracy); the controller begins with PyTorch's own
    weights, and each option of each decision has an embedding of its own (the authors': weights in
    ±0.1, and embeddings that all edges share); where a scale reduces the training images, the
    controller's updates are reduced in proportion; and the departures of ``OneShot``.
    """

    name: str = "enas"
