"""A model that answers: a session that was checked against its manifest and warmed up, with a batcher before it."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest, TensorSpec
from service.batching.batcher import Batcher
from service.errors import ModelRefused
from service.metrics.metrics import Metrics, ModelMetrics
from service.registry.model.footprint import memory_bytes
from service.registry.model.session import Halt, Run, counted_run, open_session, provider_of, run_of
from service.registry.model.tensors import Tensors
from service.repository.disk import Artefact
from service.repository.manifest import check_manifest, row_bytes
from service.settings import Settings

# A run on the event loop delays every other request. A hop to a thread and back costs about 100 µs.
_INLINE_SECONDS = 2e-3
# To stay on the event loop, a model may take fewer rows a run, but not fewer than this.
_FEWEST_INLINE_ROWS = 64
# A run with fewer rows may take longer than predicted by this factor.
_NOISE = 1.25
# grpcio hands over one request in each turn of the event loop, Envoy all that have arrived (docs/decisions/0005).
_QUIET_TURNS = {"grpcio": 32, "envoy": 0}
_WARM_UP_RUNS = 3


class LiveModel:
    """One version that answers: ``await model.batcher.submit(rows, deadline)``. Made by `load`.

    Attributes:
        name, version: As in the repository.
        manifest: As training wrote it.
        features: Number of features of a row.
        imputes: [features], True if NaN is allowed.
        tensors: Its inputs and outputs for the Open Inference Protocol.
        batcher: Takes rows and gives outputs in the order of manifest.outputs.
        metrics: The metrics of this version.
        inline: True if runs are short enough for the event loop.
        file_bytes: Size of its graph and weights on disk.
        memory_bytes: Upper estimate of the memory of its session.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        batcher: Batcher,
        metrics: ModelMetrics,
        executor: ThreadPoolExecutor | None,
        file_bytes: int,
        memory_bytes: int,
    ) -> None:
        self.name = manifest.name
        self.version = manifest.version
        self.manifest = manifest
        self.tensors = Tensors.of(manifest)
        self.features = len(manifest.features)
        self.imputes: NDArray[np.bool_] = np.array([feature.HasField("imputed") for feature in manifest.features])
        self.batcher = batcher
        self.metrics = metrics
        self.inline = executor is None
        self.file_bytes = file_bytes
        self.memory_bytes = memory_bytes
        self._executor = executor

    async def close(self) -> None:
        """Fail the rows that wait, wait for the current run, and release the thread. Drain first to lose no rows."""
        await self.batcher.close()
        if self._executor is not None:
            self._executor.shutdown(wait=False)


def load(artefact: Artefact, settings: Settings, metrics: Metrics, halt: Halt | None = None) -> LiveModel:
    """Open a version, check it against its manifest and warm it up. This is slow: call it in a thread.

    Args:
        artefact: The result of read_version.
        settings: Provider, threads and bounds.
        metrics: Gets the metrics of the version.
        halt: Ends a warm-up that hangs.

    Raises:
        ModelRefused: The graph does not open, differs from the manifest, or fails at warm up.
        StartupError: CUDA is set and not available.
    """
    manifest = artefact.manifest
    check_manifest(manifest, settings.max_message_bytes)
    session = open_session(artefact.model_bytes, settings, artefact.external)
    _check_tensors("input", session.get_inputs(), manifest.inputs)
    _check_tensors("output", session.get_outputs(), manifest.outputs)
    model = run_of(session, manifest)
    # A batch of a wide model takes at most as much memory as the largest message.
    max_batch_rows = min(settings.max_batch_rows, settings.max_message_bytes // row_bytes(manifest))
    if manifest.preferred_rows > 0:
        max_batch_rows = min(max_batch_rows, manifest.preferred_rows)
    seconds = _warm_up(model, manifest, max_batch_rows, halt)
    if seconds > _INLINE_SECONDS and (fewer := int(max_batch_rows * _INLINE_SECONDS / seconds)) >= _FEWEST_INLINE_ROWS:
        fewer_seconds = _warm_up(model, manifest, fewer, halt)
        if fewer_seconds <= _INLINE_SECONDS * _NOISE:
            max_batch_rows, seconds = fewer, _INLINE_SECONDS
    executor = ThreadPoolExecutor(1, f"run-{manifest.name}") if seconds > _INLINE_SECONDS else None
    model_metrics = metrics.model(manifest.name, str(manifest.version))
    model_metrics.limits(batch_rows=max_batch_rows, queue_rows=settings.max_queue_rows)
    model_metrics.provider = provider_of(session)
    model_metrics.count_rows(manifest if settings.drift == "on" else None)
    batcher = Batcher(
        counted_run(model, model_metrics.served),
        max_batch_rows=max_batch_rows,
        max_queue_rows=settings.max_queue_rows,
        max_queue_delay_seconds=settings.max_queue_delay_seconds,
        executor=executor,
        quiet_turns=_QUIET_TURNS[settings.frontend],
        observer=model_metrics,
    )
    held = memory_bytes(manifest, artefact.size_bytes, max_batch_rows)
    return LiveModel(manifest, batcher, model_metrics, executor, artefact.size_bytes, held)


def _check_tensors(kind: str, tensors: Sequence[Any], specs: Sequence[TensorSpec]) -> None:
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


def _warm_up(run: Run, manifest: ModelManifest, max_batch_rows: int, halt: Halt | None) -> float:
    """Run one row and full batches, from the middle of the training data; gives seconds of the fastest full batch."""
    with np.errstate(all="ignore"):
        middle = np.array([feature.low / 2 + feature.high / 2 for feature in manifest.features], np.float64)
        row = np.nan_to_num(middle.astype(np.float32), posinf=0, neginf=0)
    quickest_seconds = float("inf")
    for rows in (1, *[max_batch_rows] * _WARM_UP_RUNS):
        batch = np.tile(row, (rows, 1))
        began = time.monotonic()
        try:
            outputs = run(batch, halt)
        except Exception as error:
            raise ModelRefused("run", f"model.onnx fails on {rows} rows: {error}") from error
        if rows == max_batch_rows:
            quickest_seconds = min(quickest_seconds, time.monotonic() - began)
        for output, spec in zip(outputs, manifest.outputs, strict=True):
            if output.dtype != np.float32 or output.shape != (rows, spec.shape[1]):
                raise ModelRefused(
                    "run",
                    f"output {spec.name!r} came as {output.dtype} {list(output.shape)} for {rows} rows, "
                    f"wanted float32 [{rows}, {spec.shape[1]}]",
                )
    return quickest_seconds
