"""Whether model.onnx is what its manifest says."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kan_api.v1.manifest_pb2 import ModelManifest, TensorSpec
from service.batching.request import Rows
from service.errors import ModelRefused
from service.registry.model.session import Halt, Run


def check_tensors(kind: str, tensors: Sequence[Any], specs: Sequence[TensorSpec]) -> None:
    """Check that the graph has the names, types and widths of the manifest, and takes any number of rows."""
    found = {tensor.name: tensor for tensor in tensors}
    wanted = [spec.name for spec in specs]
    if sorted(found) != sorted(wanted):
        raise ModelRefused("graph", f"model.onnx has the {kind}s {sorted(found)}, the manifest says {sorted(wanted)}")
    for spec in specs:
        tensor = found[spec.name]
        shape = tensor.shape
        # A width that is a name or None is checked at warm up.
        fits = (
            len(shape) == 2
            and not isinstance(shape[0], int)
            and (shape[1] == spec.shape[1] or not isinstance(shape[1], int))
        )
        if tensor.type != "tensor(float)" or not fits:
            raise ModelRefused(
                "graph",
                f"{kind} {spec.name!r} of model.onnx is {tensor.type} {shape}, "
                f"wanted tensor(float) [any number of rows, {spec.shape[1]}]",
            )


def run_checked(run: Run, manifest: ModelManifest, halt: Halt | None, batch: Rows) -> None:
    """Run a batch at warm up, and compare its outputs with the manifest."""
    rows = len(batch)
    try:
        outputs = run(batch, halt)
    except Exception as error:
        raise ModelRefused("run", f"model.onnx fails on {rows} rows: {error}") from error
    for output, spec in zip(outputs, manifest.outputs, strict=True):
        if output.dtype != np.float32 or output.shape != (rows, spec.shape[1]):
            raise ModelRefused(
                "run",
                f"output {spec.name!r} came as {output.dtype} {list(output.shape)} for {rows} rows, "
                f"wanted float32 [{rows}, {spec.shape[1]}]",
            )
