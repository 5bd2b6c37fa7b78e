"""Small networks of many kinds, trained as the training pipeline does."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kan_model import KAN, KANConfig, prune
from kan_model.network.layer import Outside
from training.data.samples import Samples
from training.fitting.fit import begin, fit_steps
from training.recipe.fit_sections import AdaptSection, FitSection

_SMALL = ((1, 1), (2, 1), (8, 1), (4, 3), (16, 16), (2, 5, 1), (4, 8, 3), (8, 16, 4), (3, 3, 3, 1), (5, 10, 5, 2))
_WIDE = ((64, 10), (64, 64), (16, 32, 4), (30, 20, 2), (10, 64, 1), (32, 32, 10), (16, 16, 16, 4), (64, 64, 10))
_WIDE_SHARE = 0.3
_GRID_SIZES = (3, 4, 5, 6, 8, 10, 12, 15, 16, 20, 24, 30, 32, 40, 50, 64, 80, 100)
_DEGREE_SHARES = (0.1, 0.15, 0.5, 0.1, 0.15)
_ROWS, _BATCH_ROWS = 512, 64


@dataclass(frozen=True)
class Setup:
    """How a network is trained.

    Attributes:
        seed: Seed of data, initial values and batches.
        width: Nodes per level, inputs first.
        grids: The grid sizes, one after another, as in a recipe.
        degree: Degree of the splines.
        outside: The policy outside the domain.
        adapted: True: the grids follow the rows, so they are uneven and each input has its own.
        pruned: True: the edges with the least influence are removed, then the rest is trained again.
        own_domains: True: the inputs' domains differ.
        epochs: Epochs on each grid, of eight steps each.
    """

    seed: int
    width: tuple[int, ...]
    grids: tuple[int, ...]
    degree: int
    outside: Outside
    adapted: bool
    pruned: bool
    own_domains: bool
    epochs: int


def setup(seed: int) -> Setup:
    """A setup drawn at random, the same for the same seed."""
    random = np.random.default_rng(seed)
    is_wide = random.random() < _WIDE_SHARE
    shapes = _WIDE if is_wide else _SMALL
    grid_size = int(random.choice(_GRID_SIZES))
    is_refined = random.random() < 0.5
    return Setup(
        seed,
        width=shapes[random.integers(len(shapes))],
        grids=(max(grid_size // 4, 2), grid_size) if is_refined else (grid_size,),
        degree=int(random.choice(5, p=_DEGREE_SHARES)) + 1,
        outside="decay" if random.random() < 0.4 else "clamp",
        adapted=bool(random.random() < 0.4),
        pruned=bool(random.random() < 0.25),
        own_domains=bool(random.random() < 0.5),
        epochs=10 if is_wide else 25,
    )


def train(setup: Setup) -> tuple[KAN, Tensor]:
    """The trained network in float32, and its training rows ``[rows, inputs]``."""
    random = torch.Generator().manual_seed(setup.seed)
    x, y = _table(setup, random)
    domain = tuple((float(a), float(b)) for a, b in zip(x.amin(0), x.amax(0), strict=True))
    config = KANConfig(
        setup.width,
        setup.grids[0],
        degree=setup.degree,
        outside=setup.outside,
        domain=domain if setup.own_domains else (float(x.min()), float(x.max())),
    )
    kan = _fit(KAN(config, seed=setup.seed), setup.grids, setup, x, y)
    if setup.pruned:
        kan = prune(kan, x, node_threshold=0.05, edge_threshold=0.2, keep_inputs=True).kan
        kan = _fit(kan, setup.grids[-1:], replace(setup, adapted=False, epochs=setup.epochs // 2), x, y)
    return kan, x


def _table(setup: Setup, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inputs, skewed and of different sizes if domains differ, and targets: waves, kinks and products of them."""
    inputs, outputs = setup.width[0], setup.width[-1]
    x = 2 * torch.rand(_ROWS, inputs, generator=random) - 1
    if setup.own_domains:
        x = torch.exp(x) * (0.2 + 3 * torch.rand(inputs, generator=random)) + torch.randn(inputs, generator=random)
    z = (x - x.mean(0)) / x.std(0)
    mixes = torch.randn(3, inputs, outputs, generator=random) / inputs**0.5
    wave, kink, bend = torch.sin(2 * z @ mixes[0]), (z @ mixes[1]).abs(), (z @ mixes[2]).tanh()
    y = wave + kink + wave * bend + 0.05 * torch.randn(_ROWS, outputs, generator=random)
    return x, (y - y.mean(0)) / y.std(0)


def _fit(kan: KAN, grids: tuple[int, ...], setup: Setup, x: Tensor, y: Tensor) -> KAN:
    plan = FitSection(grids=grids, steps=setup.epochs, batch_rows=_BATCH_ROWS, learning_rate=0.02, seed=setup.seed)
    samples, validation = Samples(x, y), Samples(x[::4], y[::4])
    adapt = AdaptSection() if setup.adapted else None
    state = begin(kan, plan, samples, adapt)
    for _ in fit_steps(state, samples, validation, plan, "regression", adapt=adapt):
        pass
    return state.best
