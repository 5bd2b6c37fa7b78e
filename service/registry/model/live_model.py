"""A model that answers: a session that was checked against its manifest and warmed up, with a batcher before it."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest
from service.batching.batcher import Batcher
from service.batching.placement import Placement
from service.batching.turns import Turn, Turns
from service.cores import is_bound, use_all_cores
from service.metrics.drift.served_rows import ServedRows
from service.metrics.metrics import Metrics
from service.metrics.model_observer import ModelObserver
from service.quota.bucket import TokenBucket
from service.quota.quotas import Quotas
from service.registry.model.allowance import Allowance, Submit
from service.registry.model.attribution import QUIET_TURNS, Attribution, ReadFile
from service.registry.model.footprint import memory_bytes
from service.registry.model.graph_checks import check_tensors, run_checked
from service.registry.model.ground import GroundPolicy
from service.registry.model.row_limits import RowLimits
from service.registry.model.session import Halt, counted_run, open_session, provider_of, run_of
from service.registry.model.tensors import Tensors
from service.registry.model.warm_up import middle_row, size_of_runs
from service.repository.disk import Artefact
from service.repository.manifest import check_manifest, row_bytes
from service.settings import Settings

# The memory of the runs of other models is their own: it goes back to the system when they are closed.
_MOST_SHARING_BYTES = 16 * 2**20


class LiveModel:
    """One version that answers: ``await model.submit(rows, deadline)``. Made by `load`.

    Attributes:
        name, version: As in the repository.
        manifest: As training wrote it.
        features: Number of features of a row.
        imputes: [features], True if NaN is allowed.
        tensors: Its inputs and outputs for the Open Inference Protocol.
        ground: Its known ground, and what it does with rows elsewhere.
        limits: How many rows its runs, its queue and a request take.
        run_terms: The settings that it was made for (:meth:`service.settings.Settings.run_terms`).
        batcher: Takes rows and gives outputs in the order of manifest.outputs.
        submit: The same within the model's quota and its ceiling for deadlines.
        submit_for_attribution: As `submit`, for the contributions of the columns; None without `attribution`.
        metrics: The metrics of this version.
        attribution: Gives the contributions of the columns; None if the version has no attribution.onnx.
        leases: Number of :class:`leases <service.registry.entries.Lease>`: `retire` waits for the last one.
        used_at: When the last lease began, in monotonic seconds.
        unused: Set when the last lease ends.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        settings: Settings,
        ground: GroundPolicy,
        batcher: Batcher,
        turns: Sequence[Turn],
        allowance: Allowance,
        limits: RowLimits,
        observer: ModelObserver,
        served: ServedRows | None,
        provider: str,
        executor: ThreadPoolExecutor,
        file_bytes: int,
        memory_bytes: int,
        attribution: Attribution | None = None,
    ) -> None:
        self.name, self.version = manifest.name, manifest.version
        self.manifest = manifest
        self.tensors = Tensors.of(manifest, has_ground=ground.known is not None)
        self.ground = ground
        self.features = len(manifest.features)
        self.imputes: NDArray[np.bool_] = np.array([feature.HasField("imputed") for feature in manifest.features])
        self.batcher = batcher
        self.metrics = observer.metrics
        self.attribution = attribution
        self.limits = limits
        self.run_terms = settings.run_terms(manifest.name)
        self.submit: Submit = batcher.submit
        self.submit_for_attribution: Submit | None = None
        self._turns = turns
        self._observer, self._served = observer, served
        self._provider = provider
        self._allowance = allowance
        self.adopt(settings)
        self._file_bytes, self._memory_bytes = file_bytes, memory_bytes
        self._executor = executor
        self.leases, self.used_at = 0, time.monotonic()
        self.unused = asyncio.Event()

    @property
    def file_bytes(self) -> int:
        """Size of its graph and weights on disk, and of attribution.onnx once that is opened."""
        return self._file_bytes + (self.attribution.file_bytes if self.attribution else 0)

    @property
    def memory_bytes(self) -> int:
        """Upper estimate of the memory of its open sessions."""
        return self._memory_bytes + (self.attribution.memory_bytes if self.attribution else 0)

    @property
    def quota(self) -> TokenBucket | None:
        """What is left of the model's quota; None without one."""
        return self._allowance.quota

    def adopt(self, settings: Settings) -> None:
        """Take what may change while it answers: quota, ceiling for deadlines, priority, policy on unknown ground.

        Raises:
            ModelRefused: The policy does not fit the manifest. Nothing has changed.
        """
        table = settings.table_of(self.name)
        self.ground = self.ground.under(self.manifest, table.unknown_ground)
        for turn in self._turns:
            turn.move(table.priority or 0)
        self._allowance.adopt(table)
        self.submit = self._allowance.over(self.batcher.submit)
        if self.attribution is not None:
            self.submit_for_attribution = self._allowance.over(self.attribution.submit)

    def report(self) -> None:
        """Show its limits, its provider and the rows that it counts in the metrics, from now on."""
        self.metrics.limits(batch_rows=self.limits.batch_rows, queue_rows=self.limits.queue_rows)
        self.metrics.provider = self._provider
        self.metrics.served = self._served
        self._observer.placed(inline=self.batcher.inline)

    def leave(self) -> None:
        """Say nothing of the version in the metrics any more; requests and runs are still counted."""
        self._observer.leave()

    async def drain(self) -> None:
        """Refuse what is new and wait until everything accepted is answered."""
        # The batcher refuses new rows from this turn of the event loop on, so its drain is not put into a task.
        explanations = None if self.attribution is None else asyncio.create_task(self.attribution.drain())
        await self.batcher.drain()
        if explanations is not None:
            await explanations

    async def retire(self) -> None:
        """Wait for the last lease, drain, and close. Give no lease any more before that."""
        while self.leases:
            self.unused.clear()
            await self.unused.wait()
        await self.drain()
        await self.close()

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
    turns: Turns | None = None,
    quotas: Quotas | None = None,
) -> LiveModel:
    """Open a version, check it against its manifest and warm it up. This is slow: call it in a thread.

    Args:
        artefact: The result of read_version.
        settings: Of the server, with the table of the model.
        metrics: Has the metrics of the version.
        halt: Ends a warm-up that hangs.
        read_file: Reads attribution.onnx at the first request for it; None: such requests are refused.
        turns: Those of all models; None if there are no others.
        quotas: As turns.

    Raises:
        ModelRefused: The graph does not open, differs from the manifest, or fails at warm up.
        StartupError: CUDA is set and not available.
    """
    manifest = artefact.manifest
    check_manifest(manifest, settings.max_message_bytes)
    own, table = settings.of_model(manifest.name), settings.table_of(manifest.name)
    ground = GroundPolicy.of(manifest, table.unknown_ground)
    # A batch of a wide model takes at most as much memory as the largest message.
    max_batch_rows = min(own.max_batch_rows, settings.max_message_bytes // row_bytes(manifest))
    if manifest.preferred_rows > 0:
        max_batch_rows = min(max_batch_rows, manifest.preferred_rows)
    # The estimate holds for graphs of ours. What others need is not known before they run.
    is_ours, estimate = bool(manifest.lowering.strategies), memory_bytes(manifest, artefact.size_bytes, max_batch_rows)
    shares_arena = is_ours and estimate <= _MOST_SHARING_BYTES
    session = open_session(artefact.model_bytes, own, artefact.external, shares_arena=shares_arena)
    check_tensors("input", session.get_inputs(), manifest.inputs)
    check_tensors("output", session.get_outputs(), manifest.outputs)
    model = run_of(session, manifest)
    size = size_of_runs(partial(run_checked, model, manifest, halt), middle_row(manifest), max_batch_rows)
    executor = ThreadPoolExecutor(1, f"run-{manifest.name}", use_all_cores)  # its thread starts with its first run
    model_metrics = metrics.model(manifest.name, str(manifest.version))
    observer = ModelObserver(model_metrics)
    served = model_metrics.served_by(manifest) if settings.drift == "on" else None
    limits = RowLimits.of(own, table, size.max_batch_rows, len(manifest.features))
    turn = Turn(turns)
    batcher = Batcher(
        counted_run(model, served),
        max_batch_rows=size.max_batch_rows,
        max_queue_rows=limits.queue_rows,
        max_queue_delay_seconds=own.max_queue_delay_seconds,
        executor=executor,
        placement=Placement(size.inline_rows),
        quiet_turns=QUIET_TURNS[settings.frontend],
        shares_core=is_bound(),
        observer=observer,
        turn=turn,
        name=f"model {manifest.name} version {manifest.version}",
    )
    held = memory_bytes(manifest, artefact.size_bytes, size.max_batch_rows)
    attribution, attribution_turn = None, Turn(turns)
    if read_file is not None and manifest.HasField("attribution_graph"):
        of_queue = own.model_copy(update={"max_queue_rows": limits.queue_rows})
        attribution = Attribution(manifest, of_queue, model_metrics, read_file, attribution_turn)
    return LiveModel(
        manifest,
        settings,
        ground,
        batcher,
        (turn, attribution_turn),
        Allowance(manifest.name, quotas),
        limits,
        observer,
        served,
        provider_of(session),
        executor,
        artefact.size_bytes,
        held,
        attribution,
    )
