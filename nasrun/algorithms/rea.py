"""Regularised evolution (aging evolution)."""

from dataclasses import dataclass

from nasrun.algorithms.aging import AgingEvolution


@dataclass
class REA(AgingEvolution):
    """Tournament selection, one mutation, and the oldest member dies.

    Real et al., "Regularized Evolution for Image Classifier Architecture Search" (AAAI 2019),
    Algorithm 1, with the NAS-Bench-201 settings of [A] ``R_EA.py``: the tournament draws with
    replacement. Which decision a mutation changes is the space's own rule (``space.mutation``).
    In the space ``amoebanet`` that is the paper's own hidden-state or operation mutation (section
    3), but that the new state or operation is another one; ``identity`` is the paper's probability
    of a child that is its parent.
    """

    name: str = "rea"
