"""A model that answers: a session that was checked against its manifest and warmed up, with a batcher before it."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest, TensorSpec
from service.batching.batcher import Batcher
from service.batching.placement import Placement
from service.batching.request import Rows
from service.errors import ModelRefused
from service.metrics.metrics import Metrics, ModelMetrics
from service.registry.model.attribution import QUIET_TURNS, Attribution, ReadFile
from service.registry.model.footprint import memory_bytes
from service.registry.model.ground import GroundPolicy
from service.registry.model.session import Halt, Run, counted_run, open_session, provider_of, run_of
from service.registry.model.tensors import Tensors
from service.registry.model.warm_up import middle_row, size_of_runs
from service.repository.disk import Artefact
from service.repository.manifest import check_manifest, row_bytes
from service.settings import Settings


class LiveModel:
    """One version that answers: ``await model.batcher.submit(rows, deadline)``. Made by `load`.

    Attributes:
        name, version: As in the repository.
        manifest: As training wrote it.
        features: Number of features of a row.
        imputes: [features], True if NaN is allowed.
        tensors: Its inputs and outputs for the Open Inference Protocol.
        ground: Its known ground, and what it does with rows elsewhere.
        batcher: Takes rows and gives outputs in the order of manifest.outputs.
        metrics: The metrics of this version.
        attribution: Gives the contributions of the columns; None if the version has no attribution.onnx.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        ground: GroundPolicy,
        batcher: Batcher,
        metrics: ModelMetrics,
        executor: ThreadPoolExecutor,
        file_bytes: int,
        memory_bytes: int,
        attribution: Attribution | None = None,
    ) -> None:
        self.name = manifest.name
        self.version = manifest.version
        self.manifest = manifest
        self.tensors = Tensors.of(manifest, has_ground=ground.known is not None)
        self.ground = ground
        self.features = len(manifest.features)
        self.imputes: NDArray[np.bool_] = np.array([feature.HasField("imputed") for feature in manifest.features])
        self.batcher = batcher
        self.metrics = metrics
        self.attribution = attribution
        self._file_bytes = file_bytes
        self._memory_bytes = memory_bytes
        self._executor = executor

    @property
    def file_bytes(self) -> int:
        """Size of its graph and weights on disk, and of attribution.onnx once that is opened."""
        return self._file_bytes + (self.attribution.file_bytes if self.attribution else 0)

    @property
    def memory_bytes(self) -> int:
        """Upper estimate of the memory of its open sessions."""
        return self._memory_bytes + (self.attribution.memory_bytes if self.attribution else 0)

    async def drain(self) -> None:
        """Refuse what is new and wait until everything accepted is answered."""
        # The batcher refuses new rows from this turn of the event loop on, so its drain is not put into a task.
        explanations = None if self.attribution is None else asyncio.create_task(self.attribution.drain())
        await self.batcher.drain()
        if explanations is not None:
            await explanations

    async def close(self) -> None:
        """Fail the rows that wait, wait for the current run, and release the thread. Drain first to lose no rows."""
        if self.attribution is not None:
            await self.attribution.close()
        await self.batcher.close()
        self._executor.shutdown(wait=False)


def load(
    artefact: Artefact,
    settings: Settings,
    metrics: Metrics,
    halt: Halt | None = None,
    read_file: ReadFile | None = None,
) -> LiveModel:
    """Open a version, check it against its manifest and warm it up. This is slow: call it in a thread.

    Args:
        artefact: The result of read_version.
        settings: Provider, threads and bounds.
        metrics: Gets the metrics of the version.
        halt: Ends a warm-up that hangs.
        read_file: Reads attribution.onnx at the first request for it; None: such requests are refused.

    Raises:
        ModelRefused: The graph does not open, differs from the manifest, or fails at warm up.
        StartupError: CUDA is set and not available.
    """
    manifest = artefact.manifest
    check_manifest(manifest, settings.max_message_bytes)
    ground = GroundPolicy.of(manifest)
    session = open_session(artefact.model_bytes, settings, artefact.external)
    _check_tensors("input", session.get_inputs(), manifest.inputs)
    _check_tensors("output", session.get_outputs(), manifest.outputs)
    model = run_of(session, manifest)
    # A batch of a wide model takes at most as much memory as the largest message.
    max_batch_rows = min(settings.max_batch_rows, settings.max_message_bytes // row_bytes(manifest))
    if manifest.preferred_rows > 0:
        max_batch_rows = min(max_batch_rows, manifest.preferred_rows)
    size = size_of_runs(partial(_run_checked, model, manifest, halt), middle_row(manifest), max_batch_rows)
    executor = ThreadPoolExecutor(1, f"run-{manifest.name}")  # its thread starts with its first run
    model_metrics = metrics.model(manifest.name, str(manifest.version))
    model_metrics.limits(batch_rows=size.max_batch_rows, queue_rows=settings.max_queue_rows)
    model_metrics.placed(inline=size.is_inline)
    model_metrics.provider = provider_of(session)
    model_metrics.count_rows(manifest if settings.drift == "on" else None)
    batcher = Batcher(
        counted_run(model, model_metrics.served),
        max_batch_rows=size.max_batch_rows,
        max_queue_rows=settings.max_queue_rows,
        max_queue_delay_seconds=settings.max_queue_delay_seconds,
        executor=executor,
        placement=Placement(size.inline_rows),
        quiet_turns=QUIET_TURNS[settings.frontend],
        observer=model_metrics,
    )
    held = memory_bytes(manifest, artefact.size_bytes, size.max_batch_rows)
    attribution = None
    if read_file is not None and manifest.HasField("attribution_graph"):
        attribution = Attribution(manifest, settings, model_metrics, read_file)
    return LiveModel(manifest, ground, batcher, model_metrics, executor, artefact.size_bytes, held, attribution)


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


def _run_checked(run: Run, manifest: ModelManifest, halt: Halt | None, batch: Rows) -> None:
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
