"""A recurrent policy over architectures, decision by decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nasrun.spec import Anchors, Archs, Mask, Policy, SearchSpace

POLICY_DRAWS = 200  # from which the record says what a controller has become
Legal = Callable[[Archs], Mask]  # ``(n, options)`` what may follow ``(n, l)`` decisions


@dataclass(frozen=True)
class Drawn:
    """``archs (n, L)``, their log-probabilities ``(n,)``, and the policy's entropies ``(n,)``."""

    archs: Tensor
    log_p: Tensor
    entropy: Tensor


Choose = Callable[[int, Tensor], Tensor]  # (n, 1) options of a decision with log p (n, options)


class Attention(nn.Module):
    """What of the layers before a layer points to: ``v . tanh(W_1 h_j + W_2 h_i)`` of layer j.

    Zoph and Le (ICLR 2017, section 3.3). Layer 0, the input, has zeros for its ``h_0``.

    Args:
        hidden: units of a state.
        nearness: times the squared distance of two layers, is taken from the result.
    """

    def __init__(self, hidden: int, nearness: float = 0.0) -> None:
        super().__init__()
        self.before, self.here = (nn.Linear(hidden, hidden, bias=False) for _ in range(2))
        self.worth = nn.Linear(hidden, 1, bias=False)
        self.nearness = nearness

    def forward(self, states: Tensor, h: Tensor) -> Tensor:
        """``(..., n, j)`` of all layers before and of the state of this one.

        Args:
            states: ``(..., n, j, hidden)``.
            h: ``(..., n, hidden)``.
        """
        return self.worth(torch.tanh(self.before(states) + self.here(h)[..., None, :]))[..., 0]


class Controller(nn.Module):
    """A policy over the decisions in their order: an LSTM that reads the option that it took last.

    ENAS's as [A] ``search_model_enas_utils.py`` has it (Pham et al., ICML 2018); with
    ``tanh_constant=None`` that of Zoph and Le (ICLR 2017, section 3.2) and of NASNet (Zoph et al.,
    CVPR 2018, appendix A), whose logits are those of the network. Options of every decision have
    embeddings of their own.

    Where options mean earlier layers (``anchors``), their logits are those of ``Attention``, and
    that of an option beside them which means none is 0: a skip connection has the sigmoid of its
    own. All decisions of a layer that point are taken in one step of the LSTM (the anchor point),
    whose state is the layer's, and the next step reads the sum of the states pointed to, divided by
    one more than their number (as in ENAS; Zoph and Le do not say). A layer in which nothing points
    has the state of its last step.

    Args:
        arity: number of options per decision.
        hidden: units of each layer.
        tanh_constant: logits are this times a tanh of what the network gives, divided by
            ``temperature``; None: what the network gives.
        temperature: see there.
        layers: of the LSTM.
        spread: all weights are drawn uniformly in plus or minus this; None: PyTorch's own.
        anchors: which options mean earlier layers; None: none does.
        nearness: see ``Attention``.
    """

    def __init__(
        self,
        arity: Sequence[int],
        hidden: int,
        tanh_constant: float | None = None,
        temperature: float = 1.0,
        layers: int = 2,
        spread: float | None = None,
        anchors: Anchors | None = None,
        nearness: float = 0.0,
    ) -> None:
        super().__init__()
        self._arity, self._tanh, self._temperature = arity, tanh_constant, temperature
        self.start = nn.Parameter(torch.zeros(1, hidden).uniform_(-0.1, 0.1))
        self.lstm = nn.ModuleList(nn.LSTMCell(hidden, hidden) for _ in range(layers))
        self.taken = nn.Embedding(sum(arity), hidden)
        self.head = nn.Linear(hidden, max(arity))
        self._hidden, self._anchors = hidden, anchors
        if anchors is not None:
            self.attention = Attention(hidden, nearness)
        if spread is not None:
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -spread, spread)

    def forward(self, count: int, generator: Generator, legal: Legal) -> Drawn:
        """Draw ``count`` architectures, among the options that are ``legal`` after a prefix."""

        def draw(_: int, log_p: Tensor) -> Tensor:
            return torch.multinomial(log_p.detach().exp(), 1, generator=generator)

        return self._walk(count, legal, draw)

    def judge(self, archs: Tensor, legal: Legal) -> Drawn:
        """Log-probabilities and entropies on the way to ``archs (n, L)``."""
        return self._walk(archs.shape[-2], legal, lambda decision, _: archs[..., [decision]])

    def _walk(self, count: int, legal: Legal, choose: Choose) -> Drawn:
        # Axes before the one of the architectures are those of the weights: see CohortController.
        x = self.start.expand(*self.start.shape[:-2], count, -1)
        shape = x.shape[:-1]
        states = [(x.new_zeros(x.shape),) * 2 for _ in self.lstm]
        log_p, entropy = x.new_zeros(shape), x.new_zeros(shape)
        taken = torch.zeros((*shape, 0), dtype=torch.int64)
        layers = None if self._anchors is None else _Layers(self._anchors, x)
        h = x
        for decision, arity in enumerate(self._arity):
            if layers is None or not layers.held(decision):
                h = x
                for layer, cell in enumerate(self.lstm):
                    states[layer] = cell(h, states[layer])
                    h = states[layer][0]
            if layers is None or not layers.points(decision):
                given = self._logits(self.head(h)[..., :arity])
            else:
                given = layers.worths(decision, arity, self.attention, h, self._logits)
            allowed = legal(taken.flatten(end_dim=-2).numpy())
            closed = None if allowed.all() else torch.from_numpy(~allowed).view(given.shape)
            p = F.log_softmax(_filled(given, closed, -torch.inf), dim=-1)
            option = choose(decision, p)
            log_p = log_p + p.gather(-1, option)[..., 0]
            entropy = entropy - (p.exp() * _filled(p, closed, 0.0)).sum(dim=-1)
            taken = torch.cat([taken, option], dim=-1)
            x = self.taken(option[..., 0] + sum(self._arity[:decision]))
            if layers is not None:
                x = layers.passed(decision, option, h, x)
        return Drawn(taken, log_p, entropy)

    def _logits(self, given: Tensor) -> Tensor:
        if self._tanh is None:
            return given
        return self._tanh * torch.tanh(given / self._temperature)


def _filled(x: Tensor, closed: Tensor | None, value: float) -> Tensor:
    """``x (n, options)`` with a value where options are ``closed``; None: none is."""
    return x if closed is None else x.masked_fill(closed, value)


class _Layers:
    """The states of the layers on a walk, and what the decisions of a layer have pointed to.

    Args:
        anchors: which decisions point to which layers.
        x: ``(n, hidden)`` of the type and on the device of the states.
    """

    def __init__(self, anchors: Anchors, x: Tensor) -> None:
        self._layer: list[int] = anchors.layer.tolist()
        self._points: list[list[int]] = anchors.points.tolist()
        self._pointing: list[bool] = [max(options) >= 0 for options in self._points]
        self._states = [torch.zeros_like(x)]
        self._own: Tensor | None = None  # state of the layer in which the walk is
        self._anchored = False  # whether that is the state of a step that points
        self._forget()

    def _forget(self) -> None:
        self._sum = torch.zeros_like(self._states[0])
        self._number = self._sum.new_zeros(*self._sum.shape[:-1], 1)

    def points(self, decision: int) -> bool:
        """Whether options of the decision mean earlier layers."""
        return self._pointing[decision]

    def held(self, decision: int) -> bool:
        """Whether the decision is taken in the same step as the one before."""
        both = decision > 0 and self._pointing[decision - 1] and self._pointing[decision]
        return both and self._layer[decision - 1] == self._layer[decision]

    def worths(
        self,
        decision: int,
        arity: int,
        attention: Attention,
        h: Tensor,
        scaled: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """``(n, arity)`` logits: those of the layers that options mean, 0 for none."""
        options = self._points[decision][:arity]
        layers = [layer for layer in options if layer >= 0]
        states = torch.stack([self._states[layer] for layer in layers], dim=-2)
        distance = self._layer[decision] - torch.tensor(layers, dtype=h.dtype)
        found = scaled(attention(states, h)) - attention.nearness * distance**2
        columns = iter(found.unbind(dim=-1))
        none = found.new_zeros(found.shape[:-1])
        return torch.stack([next(columns) if layer >= 0 else none for layer in options], dim=-1)

    def passed(self, decision: int, option: Tensor, h: Tensor, x: Tensor) -> Tensor:
        """``(n, hidden)`` what the LSTM reads next, after ``option (n, 1)`` of a decision.

        That is ``x``, or what was pointed to.
        """
        pointing, last = self._pointing[decision], decision + 1 == len(self._layer)
        if pointing or self._own is None or not self._anchored:
            self._own, self._anchored = h, pointing
        if pointing:
            for number, layer in enumerate(self._points[decision]):
                if layer >= 0:
                    chosen = (option == number).to(h.dtype)
                    self._sum = self._sum + chosen * self._states[layer]
                    self._number = self._number + chosen
            if last or not self.held(decision + 1):
                x = self._sum / (1.0 + self._number)
                self._forget()
        if last or self._layer[decision + 1] != self._layer[decision]:
            self._states.append(self._own)
            self._own = None
        return x


def policy_of(controller: nn.Module, space: SearchSpace) -> Policy:
    """How often a controller chooses each option; from random numbers of its own."""
    generator = Generator().manual_seed(0)
    with torch.no_grad():
        drawn: Drawn = controller(POLICY_DRAWS, generator, space.legal)
    return Policy.of_draws(space.decisions, drawn.archs.numpy()[None])


def clipped_surrogate(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's objective, to be maximised (Schulman et al., 2017, eq. 7), element by element."""
    return torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)
