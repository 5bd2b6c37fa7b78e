"""Fit a language model, and measure its loss."""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.paper.language.network import LanguageModel
from benchmarks.paper.language.text import Text

BATCH = 8
_WARM_UP_SHARE = 0.05
_WEIGHT_DECAY = 0.01
_MOST_SLOPE = 1.0
_EVALUATED_WINDOWS = 128


@dataclass(frozen=True)
class Fit:
    """The way of a fit.

    Attributes:
        seconds: Processor time of the steps so far, at each look at the validation text.
        losses: Nats a character on the first windows of the validation text, at the same times.
    """

    seconds: tuple[float, ...]
    losses: tuple[float, ...]


def fit(network: LanguageModel, text: Text, steps: int, learning_rate: float, seed: int, looks: int = 10) -> Fit:
    """AdamW on random windows of the training text, with a warm-up and a cosine to 0. The last weights are kept.

    Args:
        network: Its parameters are changed.
        text: The text.
        steps: Number of steps, each of 8 windows.
        learning_rate: The largest one.
        seed: Of the windows.
        looks: How often the validation text is looked at. Nothing depends on it.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=_WEIGHT_DECAY)
    generator = torch.Generator().manual_seed(seed)
    spent, seconds, losses = 0.0, [], []
    for step in range(1, steps + 1):
        start = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _share(step / steps)
        train_step(network, optimizer, windows(text.train, network.shape.context, generator))
        spent += time.process_time() - start
        if step * looks // steps > (step - 1) * looks // steps:
            seconds.append(spent)
            losses.append(loss(network, text.validation, _EVALUATED_WINDOWS))
    return Fit(tuple(seconds), tuple(losses))


def train_step(network: LanguageModel, optimizer: torch.optim.Optimizer, batch: Tensor) -> None:
    """One step on windows ``[batch, context + 1]``."""
    optimizer.zero_grad()
    torch.autograd.backward(_batch_loss(network, batch))
    torch.nn.utils.clip_grad_norm_(network.parameters(), _MOST_SLOPE)
    optimizer.step()


def windows(tokens: Tensor, context: int, generator: torch.Generator) -> Tensor:
    """Random windows ``[batch, context + 1]``."""
    starts = torch.randint(len(tokens) - context, (BATCH, 1), generator=generator)
    return tokens[starts + torch.arange(context + 1)]


def loss(network: LanguageModel, tokens: Tensor, most: int | None = None) -> float:
    """Nats a character, over windows one after another. The first character of a window sees none before its own.

    Args:
        network: The network.
        tokens: The text.
        most: The most windows; None: all of them.
    """
    context = network.shape.context
    count = (len(tokens) - 1) // context
    inputs, targets = (tokens[shift : shift + count * context].view(count, context) for shift in (0, 1))
    pairs = torch.stack([inputs, targets], dim=1)[:most]
    with torch.no_grad():
        sums = [
            cross_entropy(network(part[:, 0]).flatten(0, 1), part[:, 1].flatten(), reduction="sum").double()
            for part in torch.split(pairs, BATCH)
        ]
    return float(torch.stack(sums).sum()) / (len(pairs) * context)


def _batch_loss(network: LanguageModel, batch: Tensor) -> Tensor:
    return cross_entropy(network(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())


def _share(progress: float) -> float:
    """Share of the learning rate, at a share of the steps."""
    return min(1.0, progress / _WARM_UP_SHARE) * (1 + math.cos(math.pi * progress)) / 2
