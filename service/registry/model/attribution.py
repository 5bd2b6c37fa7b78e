"""The contributions of the columns to the answers of one version: attribution.onnx, opened at the first request for it.

The graph is read, verified and warmed up in a thread, once, while the model goes on predicting. It has a batcher of its
own. A failure concerns only the requests for contributions; after a pause the next of them tries again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from kan_api.explained_rows import most_explained_rows, output_names
from kan_api.v1.manifest_pb2 import File, ModelManifest
from service.batching.batcher import Batcher
from service.batching.placement import Placement
from service.batching.request import Follower, Result, Rows
from service.batching.turns import Turn
from service.cores import is_bound, use_all_cores
from service.errors import Draining, ModelNotReady, ModelRefused, NotPublished, ServiceError, StartupError
from service.metrics.model_metrics import ModelMetrics
from service.registry.model.attribution_graph import OpenGraph, open_graph, reference_row
from service.registry.model.session import Halt
from service.repository.daemon_thread import in_daemon_thread
from service.repository.disk import ATTRIBUTION
from service.repository.manifest import file_entry
from service.settings import Settings

_log = logging.getLogger(__name__)

# Reads one file of the version, verified against its entry in the manifest.
ReadFile = Callable[[File], Awaitable[bytes]]
# grpcio hands over one request in each turn of the event loop, Envoy all that have arrived (docs/decisions/0005).
QUIET_TURNS = {"grpcio": 32, "envoy": 0}
# A file that was damaged is read again after this pause, not at every request.
_PAUSE_SECONDS = 10.0


class Attribution:
    """Gives contributions. Used on one event loop.

    Args:
        manifest: Of the version; has an attribution_graph.
        settings: Provider, threads and bounds.
        metrics: Of the version; `metrics.explanations` observes the batcher.
        read_file: Reads attribution.onnx.
        turn: As for `Batcher`.
        clock: Monotonic seconds.

    Attributes:
        reference: float32 [1, features], the reference row for requests without one.
        columns: Names of the columns of the contributions.
        outputs: Names of the explained values: targets or classes.
        explains_scores: Whether the scores of classes before the softmax are explained.
        most_request_rows: Rows whose contributions fit into one message. 0: not even one row's.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        settings: Settings,
        metrics: ModelMetrics,
        read_file: ReadFile,
        turn: Turn | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        graph = manifest.attribution_graph
        self.reference = reference_row(manifest)
        if self.reference.shape[1] != len(manifest.features):
            # The graph is refused when it is opened. Until then requests are checked with a row of the right width.
            self.reference = np.zeros((1, len(manifest.features)), np.float32)
        self.columns = tuple(graph.columns)
        self.outputs = output_names(manifest)
        self.explains_scores = graph.explains_scores
        row_bytes = 4 * len(self.outputs) * (len(graph.columns) + 2)
        self.most_request_rows = most_explained_rows(manifest, settings.max_message_bytes)
        self._most_run_rows = max(
            1, min(settings.max_batch_rows, graph.max_rows or 1, settings.max_message_bytes // row_bytes)
        )
        self._manifest = manifest
        self._settings = settings
        self._metrics = metrics
        self._read_file = read_file
        self._turn = turn
        self._clock = clock
        # FIFO: a drain waits for the requests that wait for the graph, and they enter the batcher before it does.
        self._opening = asyncio.Lock()
        self._task: asyncio.Task[OpenGraph] | None = None
        self._graph: OpenGraph | None = None
        self._batcher: Batcher | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._failure: tuple[float, type[ServiceError], str] | None = None
        self._draining = False

    @property
    def file_bytes(self) -> int:
        """Size of attribution.onnx; 0 until it is opened."""
        return self._graph.file_bytes if self._graph else 0

    @property
    def memory_bytes(self) -> int:
        """Upper estimate of the memory of the session; 0 until it is opened."""
        return self._graph.memory_bytes if self._graph else 0

    async def submit(
        self, rows: Rows, deadline: float | None = None, *, bulk: bool = False, follower: Follower | None = None
    ) -> Result:
        """Contributions for some rows, run together with those of other callers. Cancel it to leave the queue.

        Args:
            rows: float32 [rows, 2 * features]: the features of each row, and of its reference row beside them.
            deadline: As for `Batcher.submit`.
            bulk: As for `Batcher.submit`.
            follower: As for `Batcher.submit`.

        Returns:
            contributions [rows, outputs, columns], explained [rows, outputs] and baseline [rows, outputs].

        Raises:
            NotPublished: attribution.onnx is absent or damaged, or does not open.
            ModelNotReady: It cannot be read now.
            Draining, ModelNotReady, DeadlineExceeded, Overloaded, InferenceFailed: As `Batcher.submit`.
        """
        if self._batcher is None:
            async with self._opening:
                if self._batcher is None:
                    self._batcher = await self._open()
        return await self._batcher.submit(rows, deadline, bulk=bulk, follower=follower)

    async def drain(self) -> None:
        """Refuse what is new and wait until everything accepted is answered."""
        self._draining = True
        async with self._opening:
            if self._batcher is not None:
                await self._batcher.drain()

    async def close(self) -> None:
        """Fail the rows that wait, wait for the current run, and release the thread. An opening is abandoned."""
        self._draining = True
        if self._task is not None:
            self._task.cancel()
        if self._batcher is not None:
            await self._batcher.close()
        if self._executor is not None:
            self._executor.shutdown(wait=False)
        # The session is large, and each of these holds it; nothing is submitted any more.
        self._task = self._graph = self._batcher = None

    async def _open(self) -> Batcher:
        """The batcher, once the graph is open. Called under the lock."""
        if self._draining:
            raise Draining("the server is stopping and takes nothing new")
        if self._failure is not None and self._clock() < self._failure[0]:
            raise self._failure[1](self._failure[2])
        # It goes on if its caller leaves, for the next caller.
        if self._task is None:
            self._task = asyncio.create_task(self._load(), name=f"open {self._describe()}")
            self._task.add_done_callback(lambda done: done.cancelled() or done.exception())  # retrieved, if all left
        task = self._task
        try:
            self._graph = await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Draining(f"{self._describe()} was closed while it was opened") from None
            raise
        except Exception as error:
            self._task = None
            raise self._remember(error) from error
        self._failure = None
        # Its thread starts with its first run.
        self._executor = ThreadPoolExecutor(1, f"explain-{self._manifest.name}", use_all_cores)
        return Batcher(
            self._graph.run,
            max_batch_rows=self._graph.size.max_batch_rows,
            max_queue_rows=self._settings.max_queue_rows,
            max_queue_delay_seconds=self._settings.max_queue_delay_seconds,
            executor=self._executor,
            placement=Placement(self._graph.size.inline_rows),
            quiet_turns=QUIET_TURNS[self._settings.frontend],
            shares_core=is_bound(),
            observer=self._metrics.explanations,
            turn=self._turn,
            name=self._describe(),
        )

    async def _load(self) -> OpenGraph:
        """Read, verify, open and warm up the graph. As a load, it has max_load_seconds."""
        began, halt = self._clock(), Halt()
        try:
            async with asyncio.timeout(self._settings.max_load_seconds):
                content = await self._read_file(file_entry(self._manifest, ATTRIBUTION))
                opening = partial(open_graph, self._manifest, content, self._settings, self._most_run_rows, halt)
                graph = await in_daemon_thread(opening, f"open {self._describe()}")
        finally:
            halt.set()  # otherwise a run that hangs would keep a core busy for ever
        where = "on the event loop" if graph.size.is_inline else "in a thread"
        _log.info("%s opened after %.3f s, runs %s", self._describe(), self._clock() - began, where)
        return graph

    def _remember(self, error: Exception) -> ServiceError:
        """What callers are told until the pause is over; the log has it once for each try."""
        _log.error("%s cannot be opened: %s", self._describe(), error, exc_info=not isinstance(error, _EXPECTED))
        if isinstance(error, ModelRefused):
            kind: type[ServiceError] = NotPublished
            message = f"{self._describe()} cannot be used: {error}; {tune_command(self._manifest)}"
        else:
            kind = ModelNotReady
            reason = "it did not open in max_load_seconds" if isinstance(error, TimeoutError) else str(error)
            message = f"{self._describe()} cannot be opened now: {reason}"
        self._failure = (self._clock() + _PAUSE_SECONDS, kind, message)
        return kind(message)

    def _describe(self) -> str:
        return f"{ATTRIBUTION} of model {self._manifest.name!r} version {self._manifest.version}"


_EXPECTED = (ModelRefused, StartupError, TimeoutError)


def tune_command(manifest: ModelManifest) -> str:
    """The command that publishes a version with attribution.onnx."""
    return (
        f"`kan-train tune models/{manifest.name}/{manifest.version}` publishes a version that has it "
        "(models/NAME/VERSION: the newest version's folder)"
    )
