"""Compare our graphs with those of peers and check every bound: ``python -m benchmarks.lowering``.

The exit code is 1 if a bound that must hold does not.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.common.surroundings import surroundings
from benchmarks.lowering.measure import measure
from benchmarks.lowering.networks import NETWORKS
from benchmarks.lowering.table import network_table, verdict_table
from benchmarks.lowering.verdicts import verdicts

_PACKAGES = ("kan-serving", "onnxruntime", "onnx", "torch", "onnxscript", "numpy", "pykan", "inkan")
# (seconds for the samples of one network and row count, smallest number of rounds).
_FULL, _QUICK = (20.0, 9), (1.0, 3)


def main() -> None:
    """Measure every network, print the tables, check the bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lowering", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than 2 minutes; the full run takes less than 10")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables, with machine and versions, to FILE"
    )
    arguments = parser.parse_args()
    started = time.monotonic()
    torch.set_num_threads(1)
    command = "python -m benchmarks.lowering" + (" --quick" if arguments.quick else "")
    parts, judged = [surroundings(f"`{command}` (one intra-op thread, one inter-op thread)", _PACKAGES)], []
    print(parts[0])
    for network in NETWORKS:
        result = measure(network, *(_QUICK if arguments.quick else _FULL))
        parts.append(network_table(result))
        judged += verdicts(result)
        print(parts[-1], flush=True)
    parts.append(f"### Bounds\n\nTimes have to hold by medians and by minima.\n\n{verdict_table(judged)}")
    print(parts[-1])
    missed = [verdict for verdict in judged if not verdict.keeps(verdict.must)]
    print(f"{len(judged) - len(missed)} of {len(judged)} bounds hold; {time.monotonic() - started:.0f} s")
    if arguments.markdown is not None:
        arguments.markdown.write_text("\n".join(parts), encoding="utf-8")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
