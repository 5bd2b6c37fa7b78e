"""attribution.onnx as a callable: the session, checked against the manifest, and the function that runs rows.

The batcher hands over rows [rows, 2 * features]: the features of each row and, beside them, the features of its
reference row. So rows of requests with different references share a run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kan_api.explained_rows import output_names
from kan_api.v1.manifest_pb2 import ModelManifest
from service.batching.request import Outputs, Rows
from service.errors import ModelRefused
from service.registry.model.session import Halt, open_session, provider_of
from service.registry.model.warm_up import RunSize, middle_row, size_of_runs
from service.repository.disk import ATTRIBUTION
from service.repository.external_data import external_files
from service.settings import Settings

_INPUTS = ("features", "reference")
_OUTPUTS = ("contributions", "explained", "baseline")
# Training chooses max_rows so that the intermediate values of one run take at most this (kan_api.v1.AttributionGraph).
_MOST_RUN_BYTES = 64 * 2**20
_SESSION_BYTES = 512 * 1024
_COPIES_OF_FILE = 3


@dataclass(frozen=True)
class OpenGraph:
    """attribution.onnx, opened and warmed up.

    Attributes:
        run: Takes rows [rows, 2 * features]. Gives contributions [rows, outputs, columns], explained [rows, outputs]
            and baseline [rows, outputs]. Two threads must not call it at once.
        size: How many rows a run takes, and where it runs.
        file_bytes: Size of the file.
        memory_bytes: Upper estimate of the memory of the session.
    """

    run: Callable[[Rows], Outputs]
    size: RunSize
    file_bytes: int
    memory_bytes: int


def reference_row(manifest: ModelManifest) -> Rows:
    """The reference row of the manifest, float32 [1, features]."""
    return np.array(manifest.attribution_graph.reference, np.float64).astype(np.float32)[np.newaxis]


def open_graph(
    manifest: ModelManifest, content: bytes, settings: Settings, most_rows: int, halt: Halt | None = None
) -> OpenGraph:
    """Open attribution.onnx, check it against the manifest and warm it up. This is slow: call it in a thread.

    Args:
        manifest: Of the version.
        content: Content of attribution.onnx.
        settings: Provider and threads.
        most_rows: Most rows of a run that other bounds allow.
        halt: Ends a warm-up that hangs.

    Raises:
        ModelRefused: The graph does not open, differs from the manifest, or fails at warm up.
        StartupError: CUDA is set and does not work.
    """
    features, columns = len(manifest.features), manifest.attribution_graph.columns
    reference = reference_row(manifest)
    if reference.shape != (1, features) or not columns:
        raise ModelRefused(
            "manifest",
            f"manifest.json has {reference.shape[1]} reference values and {len(columns)} columns of contributions; "
            f"wanted {features} and at least 1",
        )
    outputs = int(manifest.outputs[0].shape[1])
    if len(output_names(manifest)) != outputs:
        raise ModelRefused("manifest", f"manifest.json names {len(output_names(manifest))} of {outputs} outputs")
    if external := external_files(content):
        raise ModelRefused("graph", f"{ATTRIBUTION} refers to {min(external)!r}; wanted all weights inside the file")
    session = open_session(content, settings, file=ATTRIBUTION)
    _check_names(session)
    shapes = ((outputs, len(columns)), (outputs,), (outputs,))
    run = _on_cpu(session, features, shapes) if provider_of(session) == "cpu" else _unbound(session, features)

    def run_checked(rows: Rows) -> None:
        try:
            outputs = run(rows, halt)
        except Exception as error:
            raise ModelRefused("run", f"{ATTRIBUTION} fails on {len(rows)} rows: {error}") from error
        for name, output, shape in zip(_OUTPUTS, outputs, shapes, strict=True):
            if output.dtype != np.float32 or output.shape != (len(rows), *shape):
                raise ModelRefused(
                    "run",
                    f"output {name!r} of {ATTRIBUTION} came as {output.dtype} {list(output.shape)} for {len(rows)} "
                    f"rows, wanted float32 {[len(rows), *shape]}",
                )

    row = np.concatenate([middle_row(manifest), reference], axis=1)
    size = size_of_runs(run_checked, row, most_rows)
    share = min(1.0, size.max_batch_rows / max(1, manifest.attribution_graph.max_rows))
    held = _SESSION_BYTES + _COPIES_OF_FILE * len(content) + int(_MOST_RUN_BYTES * share)
    return OpenGraph(run, size, len(content), held)


def _check_names(session: Any) -> None:
    """Check that the graph has the inputs and outputs of the contract, as float32."""
    for kind, tensors, wanted in (
        ("input", session.get_inputs(), _INPUTS),
        ("output", session.get_outputs(), _OUTPUTS),
    ):
        found = {tensor.name: tensor.type for tensor in tensors}
        if found != dict.fromkeys(wanted, "tensor(float)"):
            raise ModelRefused(
                "graph", f"{ATTRIBUTION} has the {kind}s {found}, wanted {list(wanted)} as tensor(float)"
            )


_Run = Callable[..., Outputs]


def _on_cpu(session: Any, features: int, shapes: tuple[tuple[int, ...], ...]) -> _Run:
    """The function that runs a session on the CPU. A single row uses a fixed binding, as in `session.plain_run`."""
    row, reference = np.zeros((1, features), np.float32), np.zeros((1, features), np.float32)
    answers = [np.zeros((1, *shape), np.float32) for shape in shapes]
    binding = session.io_binding()
    for name, given in zip(_INPUTS, (row, reference), strict=True):
        binding.bind_input(name, "cpu", 0, np.float32, given.shape, given.ctypes.data)
    for name, answer in zip(_OUTPUTS, answers, strict=True):
        binding.bind_output(name, "cpu", 0, np.float32, answer.shape, answer.ctypes.data)
    several = _unbound(session, features)

    def run(rows: Rows, halt: Halt | None = None) -> Outputs:
        if len(rows) > 1:
            return several(rows, halt)
        row[:], reference[:] = rows[:, :features], rows[:, features:]
        session.run_with_iobinding(binding, halt and halt.options)
        return [answer.copy() for answer in answers]

    return run


def _unbound(session: Any, features: int) -> _Run:
    """The function that runs a session on any provider."""

    def run(rows: Rows, halt: Halt | None = None) -> Outputs:
        given, reference = np.ascontiguousarray(rows[:, :features]), np.ascontiguousarray(rows[:, features:])
        # As bytes, because NaN, a missing value, is not equal to itself. It also costs a tenth of comparing numbers.
        raw = reference.tobytes()
        if raw == raw[: len(raw) // len(rows)] * len(rows):
            reference = reference[:1]  # the graph then computes its nodes once
        feeds = {"features": given, "reference": reference}
        contributions, explained, baseline = session.run(list(_OUTPUTS), feeds, halt and halt.options)
        return [contributions, explained, np.repeat(baseline, len(rows) // len(baseline), axis=0)]

    return run
