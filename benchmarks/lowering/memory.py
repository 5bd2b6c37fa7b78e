"""Memory that a session needs for a batch, in addition to its own: measured in a separate process."""

import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

from benchmarks.common.sessions import caller, open_session

BYTES_PER_MB = 1e6


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
    # Writing 5 resets the peak to the memory that is resident now, because loading has a higher peak.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident_bytes("VmRSS")
    answer()
    print((_resident_bytes("VmHWM") - before) / BYTES_PER_MB)


def _resident_bytes(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, f"no {field} in /proc/self/status"
    return int(found[1]) * 1024


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
