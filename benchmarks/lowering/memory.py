"""Memory that a session needs for a batch, in addition to its own: measured in a separate process."""

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from benchmarks.common.processes import peak_growth_mb
from benchmarks.common.sessions import caller, open_session


def growth_mb(model: onnx.ModelProto, rows: int, block_rows: int) -> float:
    """The peak of resident memory during a run of ``rows`` rows, minus that of the loaded session, in MB.

    NaN on systems other than Linux, which cannot reset the peak.
    """
    if sys.platform != "linux":
        return math.nan
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        command = [sys.executable, "-m", "benchmarks.lowering.memory", str(path), str(rows), str(block_rows)]
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in this process, and print the MB."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lowering.memory", description=__doc__)
    parser.add_argument("model", type=Path, metavar="FILE", help="the graph")
    parser.add_argument("rows", type=int, help="rows of the batch")
    parser.add_argument("block_rows", type=int, help="rows of one run")
    options = parser.parse_args(arguments)
    session = open_session(options.model.read_bytes())
    columns = session.get_inputs()[0].shape[1]
    batch = np.random.default_rng(0).uniform(-1, 1, (options.rows, columns)).astype(np.float32)
    print(peak_growth_mb(caller(session, (batch,), options.block_rows)))


if __name__ == "__main__":
    main()
