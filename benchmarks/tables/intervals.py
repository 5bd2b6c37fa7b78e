"""Intervals beside LightGBM's pair of quantiles, on the choosing half: ``python -m benchmarks.tables.intervals``.

Ours are those of ``kan-train init`` with ``[intervals] coverage = 0.9``, as ``kan-client predict`` prints them from a
``kan-serve``. LightGBM's are two fits with its defaults, of the quantiles 0.05 and 0.95, each side by side on the same
rows.

Widths are compared at equal coverage: each method's bounds of the test rows are moved by one number until 90 % of these
rows lie between them. Ours are moved in proportion to their width. LightGBM's are moved in proportion or by a constant,
as conformal quantile regression does, whichever is narrower.

With ``--quick`` ours are those of ``KANRegressor(coverage=0.9, search=False)``: one plan, no search and no server.

The cost of the bounds is the time of the published graph over that of the same graph without the outputs ``lower`` and
``upper``, in turn, on one thread.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common.markdown import render
from benchmarks.common.sessions import caller, open_session
from benchmarks.common.timing import interleave
from benchmarks.tables.methods import ours
from benchmarks.tables.methods.preparation import as_numbers, find_columns
from benchmarks.tables.sources import SOURCES
from benchmarks.tables.splits import SPLITS, Split, read, write_splits

COVERAGE = 0.9
_HEAD = (
    "table",
    "splits",
    "ours",
    "LightGBM",
    "width / LightGBM's, at equal coverage",
    "as they are",
    "cost of 1 row",
    "of 1,024",
)
_TIMED_SECONDS, _FEWEST_ROUNDS, _MOST_ROWS = 2.0, 50, 1024
_SECTION = f"\n[intervals]\ncoverage = {COVERAGE}\n"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """Bounds of one method on the test rows of one split.

    Attributes:
        coverage: The share of the rows between them.
        width: Their mean distance.
        equal_width: The same once they are moved to the coverage that was asked for.
    """

    coverage: float
    width: float
    equal_width: float


@dataclass(frozen=True)
class Found:
    """What was found on one split.

    Attributes:
        ours: Our bounds.
        theirs: LightGBM's.
        costs: By number of rows, the time of our graph over that of the graph without bounds.
    """

    ours: Bounds
    theirs: Bounds
    costs: dict[str, float]

    @property
    def ratios(self) -> list[float]:
        """Widths over LightGBM's, at equal coverage and as they are; then the costs."""
        widths = [self.ours.equal_width / self.theirs.equal_width, self.ours.width / self.theirs.width]
        return [*widths, *self.costs.values()]


def judge(lower: Floats, upper: Floats, truth: Floats, *, by_constant: bool) -> Bounds:
    """How good bounds are.

    Args:
        lower: ``[rows]``.
        upper: ``[rows]``.
        truth: ``[rows]``.
        by_constant: Whether they may also be moved by a constant.
    """
    middle, half = (lower + upper) / 2, np.maximum((upper - lower) / 2, 1e-12)
    rank = int(np.ceil(COVERAGE * len(truth))) - 1
    widths = [2 * float(np.sort(np.abs(truth - middle) / half)[rank]) * float(half.mean())]
    if by_constant:
        beyond = float(np.sort(np.maximum(lower - truth, truth - upper))[rank])
        widths.append(float(np.maximum(upper - lower + 2 * beyond, 0).mean()))
    inside = float(np.mean((lower <= truth) & (truth <= upper)))
    return Bounds(inside, float((upper - lower).mean()), min(widths))


def bounds_of_ours(split: Split, folder: Path) -> tuple[Floats, Floats]:
    """Train with [intervals], serve, and ask for the test rows; NaN where a row is not answered."""
    ours.train(split.train, split.source.target, folder, _SECTION)
    with ours.serving(folder) as address:
        command = [*ours.CLIENT, "predict", split.source.name, str(split.test), "--address", address]
        done = subprocess.run([*command, "--output", "csv"], capture_output=True, text=True, check=False)
    if done.returncode not in (0, ours.SOME_UNANSWERED):
        raise ours.CommandError(f"kan-client ended with {done.returncode}: {done.stderr[-500:]}")
    answers = pd.read_csv(io.StringIO(done.stdout), keep_default_na=True).to_numpy(dtype=float)
    return answers[:, 1], answers[:, 2]


def bounds_of_estimator(split: Split, folder: Path) -> tuple[Floats, Floats]:
    """Fit in this process, by the first plan that is proposed, and publish the version whose cost is measured."""
    from training import KANRegressor

    train, test = read(split.train), read(split.test)
    target = split.source.target
    # Timed strategies would take longer than the fit.
    model = KANRegressor(coverage=COVERAGE, search=False, recipe={"lowering": {"tune_for": []}})
    model.fit(train.drop(columns=target), train[target])
    shutil.rmtree(folder / "models", ignore_errors=True)
    model.export(folder / "models" / split.source.name)
    lower, upper = model.predict_interval(test.drop(columns=target))
    return lower, upper


def bounds_of_lightgbm(split: Split) -> tuple[Floats, Floats]:
    """Two fits, one for each quantile."""
    import lightgbm

    train, test = read(split.train), read(split.test)
    target = split.source.target
    columns = find_columns(train.drop(columns=target))
    rows, words = as_numbers(columns, train.drop(columns=target))
    asked = as_numbers(columns, test.drop(columns=target))[0]
    found = []
    for quantile in ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2):
        model = lightgbm.LGBMRegressor(objective="quantile", alpha=quantile, n_jobs=1, verbose=-1, random_state=0)
        model.fit(rows, train[target].to_numpy(), categorical_feature=words)
        found.append(np.asarray(model.predict(asked), dtype=float))
    lower, upper = found
    return np.minimum(lower, upper), np.maximum(lower, upper)


def cost_of_bounds(folder: Path) -> dict[str, float]:
    """For 1 and 1,024 rows the time of the graph over the time of the same graph without bounds."""
    (path,) = (folder / "models").glob("*/*/model.onnx")
    graph, plain = onnx.load(path), onnx.load(path)
    del plain.graph.output[1:]
    # onnxruntime leaves out what no output needs.
    sessions = [open_session(each.SerializeToString()) for each in (plain, graph)]
    manifest = json.loads((path.parent / "manifest.json").read_text())
    rows = np.array([[(each.get("low", 0.0) + each.get("high", 0.0)) / 2 for each in manifest["features"]]], np.float32)
    costs = {}
    for count in (1, 1024):
        calls = [caller(session, (np.repeat(rows, count, axis=0),), _MOST_ROWS) for session in sessions]
        without, having = interleave(calls, _TIMED_SECONDS, _FEWEST_ROUNDS)
        costs[str(count)] = having.median / without.median
    return costs


def measure(split: Split, folder: Path, *, is_quick: bool) -> Found:
    """Both methods on one split, kept in FOLDER/bounds.json; the unanswered rows count for neither."""
    kept = folder / "bounds.json"
    if kept.is_file() and (known := json.loads(kept.read_text()))["rows"] == split.fingerprint:
        return Found(Bounds(**known["ours"]), Bounds(**known["theirs"]), known["costs"])
    truth = read(split.test)[split.source.target].to_numpy(dtype=float)
    folder.mkdir(parents=True, exist_ok=True)
    pair = (bounds_of_estimator if is_quick else bounds_of_ours)(split, folder)
    is_answered = np.isfinite(pair[0])
    mine = judge(pair[0][is_answered], pair[1][is_answered], truth[is_answered], by_constant=False)
    lower, upper = bounds_of_lightgbm(split)
    theirs = judge(lower[is_answered], upper[is_answered], truth[is_answered], by_constant=True)
    found = Found(mine, theirs, cost_of_bounds(folder))
    kept.write_text(json.dumps({"rows": split.fingerprint} | asdict(found)))
    return found


def page(found: dict[str, list[Found]]) -> str:
    """The table: a line for each table of rows, and the means over them."""
    lines, every = [], []
    for name, splits in found.items():
        shares = np.mean([[each.ours.coverage, each.theirs.coverage] for each in splits], axis=0)
        ratios = np.exp(np.mean(np.log([each.ratios for each in splits]), axis=0))
        every.append((shares, ratios))
        lines.append([name, str(len(splits)), *_cells(shares, ratios)])
    shares = np.mean([each[0] for each in every], axis=0)
    ratios = np.exp(np.mean(np.log([each[1] for each in every]), axis=0))
    lines.append(["mean; of ratios geometric", "", *_cells(shares, ratios)])
    return render([list(_HEAD), *lines])


def _cells(shares: Floats, ratios: Floats) -> list[str]:
    return [*(f"{100 * share:.1f} %" for share in shares), *(f"{ratio:.2f}" for ratio in ratios)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables.intervals", description=__doc__)
    # Only recorded runs may see the reported half.
    sources = [each for each in SOURCES if each.task == "regression" and each.half == "choosing"]
    parser.add_argument("--tables", nargs="+", choices=[each.name for each in sources], metavar="TABLE")
    parser.add_argument("--quick", action="store_true", help="one plan instead of a search, and no server")
    parser.add_argument("--splits", type=int, choices=range(1, SPLITS + 1), default=1, help="default: 1")
    parser.add_argument("--cache", type=Path, default=Path("runs", "intervals"), help="default: runs/intervals")
    options = parser.parse_args(arguments)
    found: dict[str, list[Found]] = {}
    for source in sources:
        if source.name not in (options.tables or [source.name]):
            continue
        for split in write_splits(source, range(options.splits), options.cache / "splits"):
            folder = options.cache / ("quick" if options.quick else "whole") / source.name / str(split.number)
            judged = measure(split, folder, is_quick=options.quick)
            found.setdefault(source.name, []).append(judged)
            print(f"{source.name}/{split.number} {judged}", file=sys.stderr, flush=True)
    print(page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
