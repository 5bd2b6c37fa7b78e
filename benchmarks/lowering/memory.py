"""Memory that a session needs for a batch, in addition to its own: measured in a separate process."""

import math
import subprocess
import sys
import tempfile
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


def _main(path: str, rows: int, block_rows: int) -> None:
    session = open_session(Path(path).read_bytes())
    columns = session.get_inputs()[0].shape[1]
    batch = np.random.default_rng(0).uniform(-1, 1, (rows, columns)).astype(np.float32)
    answer = caller(session, (batch,), block_rows)
    print(peak_growth_mb(answer))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
