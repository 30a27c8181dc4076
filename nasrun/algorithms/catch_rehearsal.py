"""Meta-training of CATCH off the policy: gradient steps on the histories of all meta tasks."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.catch_agent import CATCHer
from nasrun.algorithms.catch_networks import Actions, Pairs, tensor
from nasrun.algorithms.memory import History, Normalisation, normalised
from nasrun.draws import OneHot
from nasrun.nets.cohort import together
from nasrun.spec import Archs, Floats, Ints, Measured, Streams

VIEWS = 2  # contexts of a task in a step: the contrast needs two
FEWEST, MOST = 4, 16  # pairs of a context
PREDICTED = 8  # architectures whose scores are predicted from a context
IMITATED = 4  # architectures that the policy imitates, given a context
SHARPNESS = 2.0  # in the choice of these: exp(SHARPNESS * normalised score)
NEARNESS = 0.3  # squared distance of contexts over which their likeness falls by e
Read = Callable[[Archs, Floats], Pairs]  # archs (T, N, L) and rewards (T, N), NaN where unused


@dataclass
class Rehearsal:
    """What the agents have measured on each meta task, and what they learn from all of it.

    CATCH on its own policy sees one task at a time, and then the evaluator follows that task by
    its weights instead of by z: nothing is left for the encoder to explain. PEARL (Rakelly et al.,
    ICML 2019), whose encoder CATCH's is, learns from batches over all tasks. So does this: a step
    draws two contexts of each task, predicts scores of other architectures of the same task from
    z (of a history of fewer than 24 some may be in the context), and lets the policy imitate good
    ones. ``contrast`` weighs a loss that draws the two contexts
    of a task together and those of others apart (InfoNCE; for PEARL's encoder such a loss is due to
    Li et al., "FOCAL", ICLR 2021).

    It takes architectures that were measured on several tasks: where each is known on one task
    alone, the evaluator tells the task by the architecture.
    """

    contrast: float
    imitation: float
    beta: float
    normalisation: Normalisation
    histories: dict[str, History] = field(default_factory=dict[str, History])

    def add(self, task: str, measured: Measured) -> None:
        """Keep what all trials have measured on a meta task."""
        trials, decisions = measured.archs.shape
        self.histories.setdefault(task, History(trials, decisions)).add(measured)

    def of(self, rows: slice) -> "Rehearsal":
        """The same of some trials alone."""
        parts = {name: history.of(rows) for name, history in self.histories.items()}
        return replace(self, histories=parts)

    def unmeasured(self, task: str) -> list[list[tuple[int, ...]]]:
        """By trial, what was measured on other tasks and never on this one.

        Task by task, in the order of their first meta epochs; of a task the oldest first.
        """
        others = [history.archs for name, history in self.histories.items() if name != task]
        if not others:
            return []
        found: list[list[tuple[int, ...]]] = []
        for trial, archs in enumerate(np.concatenate(others, axis=1).tolist()):
            own = self.histories[task].archs[trial].tolist() if task in self.histories else []
            known = set(map(tuple, own))
            found.append([arch for arch in dict.fromkeys(map(tuple, archs)) if arch not in known])
        return found

    def steps(
        self, count: int, catcher: CATCHer, read: Read, one_hot: OneHot, streams: Streams
    ) -> None:
        """Take ``count`` gradient steps with all trials of ``catcher``, which are those kept."""
        scores = {
            name: normalised(history.rewards, self.normalisation)
            for name, history in self.histories.items()
        }
        for _ in range(count):
            parts = [
                self._view(self.histories[name], scores[name], streams)
                for name in scores
                for _ in range(VIEWS)
            ]
            catcher.descend(self._loss(catcher, _Batch.joined(parts), read, one_hot, streams))

    def _view(self, history: History, score: Floats, streams: Streams) -> "_Batch":
        """One context of a task, and what is to be predicted and imitated from it."""
        length = len(history)
        order = np.argsort(streams.uniform(length), axis=1, kind="stable")
        shown, asked = order[:, : min(MOST, length)], order[:, -min(PREDICTED, length) :]
        most = shown.shape[1]
        fewest = min(FEWEST, most)
        size = fewest + streams.integers(most - fewest + 1)
        worth = np.where(history.known, SHARPNESS * score, -np.inf) + streams.gumbel(length)
        good = np.argsort(-worth, axis=1, kind="stable")[:, : min(IMITATED, length)]
        rewards = np.take_along_axis(history.rewards, shown, axis=1)
        return _Batch(
            _taken(history.archs, shown),
            np.where(np.arange(most) < size, rewards, np.nan),
            _taken(history.archs, asked),
            np.take_along_axis(score, asked, axis=1),
            np.take_along_axis(history.known, asked, axis=1),
            _taken(history.archs, good),
            np.take_along_axis(history.known, good, axis=1),
        )

    def _loss(
        self, catcher: CATCHer, batch: "_Batch", read: Read, one_hot: OneHot, streams: Streams
    ) -> Tensor:
        trials, contexts, _, length = batch.context.shape
        latent = catcher.latent
        pairs = read(batch.context, batch.rewards)
        noise = streams.normal(contexts * latent).reshape(trials, contexts, latent)
        z, kl, mean = catcher.encoder.draw_each(pairs, noise)
        asked = Pairs(
            one_hot, latent, _flat(batch.asked), _flat(batch.score), _flat(batch.score_known)
        )
        weight = tensor(_flat(batch.score_known)[together(trials)])
        loss, _ = catcher.evaluator.loss(asked, weight, _each(z, batch.asked.shape[2]))
        loss = loss + self.beta * kl.mean(dim=1)
        if self.imitation:
            good = _flat(batch.good)
            nothing = np.zeros(good.shape)
            actions = Actions(
                one_hot, latent, good, nothing[..., 0], nothing, _flat(batch.good_known)
            )
            own = _each(z, batch.good.shape[2] * length)
            loss = loss + self.imitation * catcher.controller.imitation_loss(actions, own)
        if self.contrast and mean.requires_grad:
            loss = loss + self.contrast * contrast_loss(mean)
        return loss


@dataclass(frozen=True)
class _Batch:
    """Contexts and what belongs to them; of ``C`` contexts: ``(T, C, n, ...)``."""

    context: Archs
    rewards: Floats  # NaN where not shown
    asked: Archs
    score: Floats
    score_known: np.ndarray
    good: Archs
    good_known: np.ndarray

    @classmethod
    def joined(cls, parts: "list[_Batch]") -> "_Batch":
        """Those of single contexts, cut to the shortest, side by side."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        shortest = [(min(a.shape[1] for a in column), column) for column in columns]
        return cls(*(np.stack([a[:, :n] for a in column], axis=1) for n, column in shortest))


def contrast_loss(mean: Tensor) -> Tensor:
    """``(R,)`` cross-entropy of telling from a context's mean which other one is of its task.

    ``mean (R, 2 K, latent)`` of two contexts of each of ``K`` tasks, one behind the other. The
    logits are the negative squared distances over ``NEARNESS``.
    """
    rows, contexts, _ = mean.shape
    first, second = mean[:, 0::VIEWS], mean[:, 1::VIEWS]
    logits = -(first[:, :, None] - second[:, None]).square().sum(dim=3) / NEARNESS
    own = torch.eye(contexts // VIEWS).expand(rows, -1, -1)
    likely = torch.log_softmax(logits, dim=1) + torch.log_softmax(logits, dim=2)
    return -(own * likely).sum(dim=(1, 2)) / contexts


def _taken(archs: Archs, places: Ints) -> Archs:
    return np.take_along_axis(archs, places[..., None], axis=1)


def _flat(parts: np.ndarray) -> np.ndarray:
    """``(T, C n, ...)`` of ``(T, C, n, ...)``."""
    return parts.reshape(len(parts), -1, *parts.shape[3:])


def _each(z: Tensor, times: int) -> Tensor:
    """``(R, C times, latent)``: z of each context for all that belongs to it."""
    return z.repeat_interleave(times, dim=1)
