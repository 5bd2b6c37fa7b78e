"""Check the bounds of attribution.onnx: ``python -m benchmarks.attribution``.

The exit code is 1 if a bound that must hold does not.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

from benchmarks.attribution.closeness import Closeness, closeness
from benchmarks.attribution.speed import SHAP_ROWS, Speed, speeds, times_faster_than_kernel_shap
from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict

_PACKAGES = ("kan-serving", "onnxruntime", "onnx", "torch", "numpy", "shap")
# Seconds and rounds of each timing; rows of each network with exact Shapley values; rows with KernelSHAP's.
_FULL, _QUICK = (10.0, 9, 20, 3), (1.0, 3, 2, 1)
_MUST, _AIM = {1: 5.0, 64: 5.0}, {1: 2.5, 64: 3.0}


def main() -> None:
    """Measure, print the tables, check the bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attribution", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 minutes; the full run takes 5")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE")
    arguments = parser.parse_args()
    started = time.monotonic()
    torch.set_num_threads(1)
    seconds, rounds, rows, kernel_rows = _QUICK if arguments.quick else _FULL
    command = "python -m benchmarks.attribution" + (" --quick" if arguments.quick else "")
    parts = [surroundings(f"`{command}` (one intra-op thread, one inter-op thread)", _PACKAGES)]
    found = list(speeds(seconds, rounds))
    parts.append(f"### Times\n\nProcessor time of a run, medians.\n\n{_speed_table(found)}")
    near = list(closeness(rows, kernel_rows))
    parts.append(
        "### Closeness to Shapley values\n\nΣ |contribution − Shapley value| / Σ |Shapley value| of a row, mean over "
        f"rows that the network never saw ({rows}; {kernel_rows} of KernelSHAP).\n\n{_closeness_table(near)}"
    )
    verdicts = _verdicts(found, near, times_faster_than_kernel_shap())
    parts.append(f"### Bounds\n\n{_verdict_table(verdicts)}")
    print("\n".join(parts))
    missed = [verdict for verdict in verdicts if not verdict.keeps(verdict.must)]
    print(f"{len(verdicts) - len(missed)} of {len(verdicts)} bounds hold; {time.monotonic() - started:.0f} s")
    if arguments.markdown is not None:
        arguments.markdown.write_text("\n".join(parts), encoding="utf-8")
    sys.exit(1 if missed else 0)


def _verdicts(found: list[Speed], near: list[Closeness], faster: float) -> list[Verdict]:
    verdicts = [
        Verdict(
            each.network,
            "attribution.onnx / model.onnx",
            str(each.rows),
            each.attribution.median / each.model.median,
            _MUST[each.rows],
            at_most=True,
            aim=_AIM[each.rows],
            by_minima=each.attribution.minimum / each.model.minimum,
        )
        for each in found
    ]
    verdicts.append(Verdict("[12, 16, 1]", "× faster than KernelSHAP", str(SHAP_ROWS), faster, 500.0, at_most=False))
    median = statistics.median(each.ours for each in near)
    verdicts.append(
        Verdict(f"{len(near)} networks", "off from Shapley, median", "", median, 0.15, at_most=True, aim=0.05)
    )
    return verdicts


def _speed_table(found: list[Speed]) -> str:
    rows = [["network", "rows", "model.onnx µs", "attribution.onnx µs", "×"]]
    for each in found:
        times = (each.model.median, each.attribution.median)
        rows.append(
            [each.network, str(each.rows), *(f"{1e6 * seconds:.0f}" for seconds in times), f"{times[1] / times[0]:.2f}"]
        )
    return render(rows)


def _closeness_table(near: list[Closeness]) -> str:
    rows = [["table", "network", "contributions", "KernelSHAP, 1,000 samples"]]
    rows += [[each.table, str(list(each.width)), f"{each.ours:.3f}", f"{each.kernel:.3f}"] for each in near]
    medians = (statistics.median(getattr(each, name) for each in near) for name in ("ours", "kernel"))
    return render([*rows, ["median", "", *(f"{median:.3f}" for median in medians)]])


def _verdict_table(verdicts: list[Verdict]) -> str:
    rows = [["network", "what", "rows", "measured", "must", "", "aim", ""]]
    for verdict in verdicts:
        by_minima = "" if verdict.by_minima is None else f" ({verdict.by_minima:.2f} by minima)"
        rows.append(
            [verdict.network, verdict.what, verdict.rows, f"{verdict.measured:.3g}{by_minima}", *bounds_row(verdict)]
        )
    return render(rows)


if __name__ == "__main__":
    main()
