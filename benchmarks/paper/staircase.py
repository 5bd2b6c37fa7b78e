"""Grid extension compared with pykan (arXiv 2404.19756, fig. 2.3): ``python -m benchmarks.paper.staircase``.

f = exp(sin(πx) + y²) on [-1, 1]², 1000 training points, a [2,5,1] KAN in float64, grids of 3 to 50 intervals, one
thread. pykan does 200 LBFGS steps on each grid, of up to 20 iterations each; its network is the best of all steps on
the test points themselves. Ours does 150 Levenberg–Marquardt steps on each grid; its network is chosen by 1000
validation points.
"""

import argparse
import contextlib
import io
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.common.markdown import render
from kan_model import KAN, KANConfig, refine_grid
from kan_model.grids.adaptation import adapt_grid
from kan_model.network.initialization import Initialization
from training.data.samples import Samples
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection

WIDTH, GRIDS = (2, 5, 1), (3, 5, 10, 20, 50)
OUR_STEPS, PYKANS_STEPS = 150, 200


@dataclass(frozen=True)
class Outcome:
    """The result of one seed: test RMSE after each grid (the best so far), and CPU seconds of the whole run."""

    rmse: tuple[float, ...]
    cpu_seconds: float


def points(seed: int) -> tuple[Tensor, Tensor]:
    """1000 points and their values."""
    x = torch.rand(1000, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    return x, torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2)


def ours(
    seed: int,
    width: tuple[int, ...] = WIDTH,
    grids: Sequence[int] = GRIDS,
    steps: int = OUR_STEPS,
    initialization: Initialization = "paper",
) -> Outcome:
    """Train with our library; before each grid the hidden domains move to the hidden values."""
    train, validation, test = (points(3 * seed + part) for part in range(3))
    start = time.process_time()
    config = KANConfig(width, grid_size=grids[0], initialization=initialization)
    kan = KAN(config, seed=seed, dtype=torch.float64)
    plan = FitSection(optimizer="levenberg-marquardt", steps=steps)
    found = []
    for grid_size in grids:
        kan = adapt_grid(refine_grid(kan, grid_size), train[0], uniform_share=1.0, max_moved=math.inf).kan
        kan = fit_module(kan, Samples(*train), Samples(*validation), plan, "regression").best
        found.append(rmse(kan, test))
    return Outcome(tuple(found), time.process_time() - start)


def pykans(seed: int) -> Outcome:
    """Train with pykan, as in its own example."""
    import kan as pykan

    train, _, test = (points(3 * seed + part) for part in range(3))
    data = dict(zip(("train_input", "train_label", "test_input", "test_label"), (*train, *test), strict=True))
    torch.set_default_dtype(torch.float64)
    start = time.process_time()
    best, found = math.inf, []
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with quiet[0], quiet[1], tempfile.TemporaryDirectory() as folder:  # pykan always writes a history there.
        model: Any = pykan.KAN(width=list(WIDTH), grid=GRIDS[0], k=3, seed=seed, auto_save=False, ckpt_path=folder)
        for grid_size in GRIDS:
            if grid_size != GRIDS[0]:
                model = model.refine(grid_size)
            seen = model.fit(data, opt="LBFGS", steps=PYKANS_STEPS)["test_loss"]
            best = min(best, *(float(loss) for loss in seen))
            found.append(best)
    torch.set_default_dtype(torch.float32)
    return Outcome(tuple(found), time.process_time() - start)


def rmse(kan: KAN, rows: tuple[Tensor, Tensor]) -> float:
    """Root mean square error."""
    with torch.no_grad():
        return float((kan(rows[0]) - rows[1]).square().mean().sqrt())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both for each seed; the exit code is 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper.staircase", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default: 5)")
    parser.add_argument("--no-pykan", action="store_true", help="run only ours")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    outcomes: dict[str, list[Outcome]] = {"ours": [], "pykan": []}
    for seed in range(options.seeds):
        for name, run in (("ours", ours), ("pykan", pykans)):
            if name == "ours" or not options.no_pykan:
                outcomes[name].append(run(seed))
                print(f"seed {seed}, {name}: {outcomes[name][-1]}", file=sys.stderr, flush=True)
    rows = [
        [name, *(f"{statistics.median(one.rmse[i] for one in seen):.2e}" for i in range(len(GRIDS))),
         f"{statistics.median(one.cpu_seconds for one in seen):.0f}"]
        for name, seen in outcomes.items() if seen
    ]  # fmt: skip
    print(render([["test RMSE", *(f"G = {grid_size}" for grid_size in GRIDS), "CPU s"], *rows]))
    if outcomes["pykan"]:
        best, cpu = (
            [statistics.median(values(one) for one in outcomes[name]) for name in ("ours", "pykan")]
            for values in (_best, _cpu_seconds)
        )
        error, seconds = best[0] / best[1], cpu[0] / cpu[1]
        print(f"ours / pykan: best RMSE {error:.2f} (must 1), CPU {seconds:.3f} (must 0.5, aim 0.2)")
        sys.exit(0 if error <= 1 and seconds <= 0.5 else 1)


def _best(outcome: Outcome) -> float:
    return min(outcome.rmse)


def _cpu_seconds(outcome: Outcome) -> float:
    return outcome.cpu_seconds


if __name__ == "__main__":
    main()
