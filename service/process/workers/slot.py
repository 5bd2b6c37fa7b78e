"""What the parent knows of one worker and of those before it in its place."""

from dataclasses import dataclass

from service.process.workers.worker_process import WorkerProcess


@dataclass(eq=False)
class Slot:
    """The place of one worker, and of those that follow it.

    Attributes:
        process: The worker; None between two.
        reason: Why the worker is not ready; "" if it is.
        listening: The versions that answered when it began to take calls; None before.
        listening_at: When that was.
        heard_at: When it last said something.
        has_beaten: Whether its event loop has begun.
        failed: Why it could not start.
        failures: How many workers in a row ended soon after their start.
        next_at: When the next worker starts, during a pause.
        code: How the last worker ended.
        told_crash_loop: Whether the worker knows of a crash loop.
    """

    number: int
    process: WorkerProcess | None = None
    reason: str = "models are loading"
    listening: list[str] | None = None
    listening_at: float = 0.0
    heard_at: float = 0.0
    has_beaten: bool = False
    failed: str = ""
    failures: int = 0
    next_at: float = 0.0
    code: int = 0
    told_crash_loop: bool = False
