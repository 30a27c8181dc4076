"""Gradients of an expected loss over architectures that are drawn decision by decision.

An architecture distribution is one row of logits per decision. A loss takes one row of weights per
decision, ``(B, options)``, and returns ``(B,)`` losses, one for each of ``B`` drawn architectures.
Every estimator returns a scalar whose *gradient* with respect to the logits is the estimate of the
gradient of E[loss]; its own value is no loss to be read or minimised.

``expected`` of Gumbel-Softmax is biased. REINFORCE, REBAR and RELAX are not: in expectation their
gradient is that of the expected loss over one-hot rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Rows = Sequence[Tensor]
Loss = Callable[[Rows], Tensor]

EDGE = 1e-3  # uniforms are kept this far from 0 and 1; [UC] gsm_utils.py


@dataclass(frozen=True)
class Draw:
    """``B`` architectures of a distribution, drawn once and seen three ways.

    ``hard``: one-hot rows ``(B, options)``. ``soft``: their Gumbel-Softmax relaxation, which the
    logits' gradient goes through. ``coupled``: the same values as ``soft``, with the gradient of
    the relaxation *given* ``hard`` taken away. ``log_p (B,)``: log-probability of ``hard``.
    """

    hard: list[Tensor]
    soft: list[Tensor]
    coupled: list[Tensor]
    log_p: Tensor

    def first(self, count: int) -> "Draw":
        """The first ``count`` of the ``B`` architectures alone, or all if there are fewer."""
        hard, soft, coupled = (
            [row[:count] for row in rows] for rows in (self.hard, self.soft, self.coupled)
        )
        return Draw(hard, soft, coupled, self.log_p[:count])


def uniforms(
    arity: Sequence[int], count: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> list[Tensor]:
    """One ``(count, options)`` tensor of uniforms per decision, drawn on the generator's device."""
    drawn = torch.rand(count, sum(arity), generator=generator).clamp(EDGE, 1.0 - EDGE)
    return list(drawn.to(device, non_blocking=True).split(list(arity), dim=1))


def gumbel(noise: Tensor) -> Tensor:
    """Standard Gumbel numbers of uniforms."""
    return -torch.log(-torch.log(noise))


def draw(logits: Rows, noise: Rows, temperature: float) -> Draw:
    """Draw one architecture for each row of ``noise``.

    The conditional relaxation (Tucker et al., "REBAR", NIPS 2017, appendix C; [UC] gsm_utils.py)
    needs noise ``v`` that is independent of the drawn option ``k``. It is the noise that leads from
    the option back to this very relaxation: with ``q`` the probabilities,
    ``log v_k = log u_k / q_k`` and ``log v_i = log u_i - q_i log v_k``. So one network evaluation
    serves the relaxation and its conditional twin.

    Args:
        logits: ``(options,)`` or ``(B, options)`` per decision.
        noise: ``(B, options)`` uniforms in (0, 1) per decision.
        temperature: of the relaxation.
    """
    hard, soft, coupled = list[Tensor](), list[Tensor](), list[Tensor]()
    log_p = torch.zeros(len(noise[0]), device=noise[0].device)
    for row, u in zip(logits, noise, strict=True):
        log_q = F.log_softmax(row, dim=-1).expand_as(u)
        perturbed = log_q + gumbel(u)
        one_hot = F.one_hot(perturbed.argmax(dim=-1), u.shape[-1]).to(u.dtype)
        relaxed = F.softmax(perturbed / temperature, dim=-1)
        given = F.softmax(_conditional(log_q, u, one_hot) / temperature, dim=-1)
        hard.append(one_hot)
        soft.append(relaxed)
        coupled.append(relaxed - given + given.detach())
        log_p = log_p + (one_hot * log_q).sum(dim=-1)
    return Draw(hard, soft, coupled, log_p)


def _conditional(log_q: Tensor, u: Tensor, one_hot: Tensor) -> Tensor:
    """``(B, options)`` perturbed logits given the option drawn, with its noise held constant."""
    q, drawn = log_q.exp(), one_hot.bool()
    with torch.no_grad():
        log_v_drawn = (one_hot * u.log() / q).sum(dim=-1, keepdim=True)
        log_v = u.log() - q * log_v_drawn
    others = torch.where(drawn, torch.ones_like(q), -log_v / q) - log_v_drawn
    return -torch.log(torch.where(drawn, -log_v_drawn.expand_as(q), others))


def gumbel_softmax(drawn: Draw, loss: Loss) -> Tensor:
    """The relaxed loss (Jang et al.; Maddison et al., ICLR 2017): low variance, but biased."""
    return loss(drawn.soft).mean()


def reinforce(drawn: Draw, loss: Loss, baseline: float = 0.0) -> Tensor:
    """The score function (Williams, 1992) with a constant baseline; any loss will do."""
    with torch.no_grad():
        losses = loss(drawn.hard)
    return (drawn.log_p * (losses - baseline)).mean()


def rebar(drawn: Draw, loss: Loss) -> Tensor:
    """REBAR (Tucker et al., NIPS 2017) as UNAS has it (Vahdat et al., CVPR 2020, eq. 3).

    The relaxed loss is the control variate of the score function, weighed by one.
    """
    return relax(drawn, loss, loss)


def relax(drawn: Draw, loss: Loss, surrogate: Loss) -> Tensor:
    """RELAX (Grathwohl et al., ICLR 2018) as UNAS has it (eq. 5), for losses without a gradient.

    Args:
        drawn: architectures.
        loss: is called with one-hot rows only.
        surrogate: a differentiable function near ``loss``; the nearer, the lower the variance. Its
            own parameters get no gradient from here that would be worth following.
    """
    with torch.no_grad():
        losses = loss(drawn.hard)
    control = surrogate(drawn.coupled)
    return (drawn.log_p * (losses - control.detach()) + control).mean()


def straight_through(logits: Rows, noise: Rows, temperature: float) -> list[Tensor]:
    """One-hot rows ``(B, options)`` with the gradient of their relaxation (Jang et al., ICLR 2017).

    The value is exactly one-hot: an option that was not drawn has weight 0.0 and costs nothing.
    """
    rows: list[Tensor] = []
    for row, u in zip(logits, noise, strict=True):
        relaxed = F.softmax((F.log_softmax(row, dim=-1) + gumbel(u)) / temperature, dim=-1)
        one_hot = F.one_hot(relaxed.argmax(dim=-1), u.shape[-1]).to(u.dtype)
        rows.append(one_hot + (relaxed - relaxed.detach()))
    return rows


def dirichlet(concentration: Tensor, generator: torch.Generator) -> Tensor:
    """``(..., options)`` a Dirichlet sample that its concentration's gradient goes through.

    Gamma samples, which torch differentiates implicitly (Figurnov et al., NeurIPS 2018), divided by
    their sum; ``torch.distributions`` would draw from the global generator.
    """
    sample = torch._standard_gamma  # pyright: ignore[reportPrivateImportUsage]
    gammas = sample(concentration.cpu(), generator=generator)
    gammas = gammas.clamp(min=torch.finfo(gammas.dtype).tiny).to(concentration.device)
    return gammas / gammas.sum(dim=-1, keepdim=True)
