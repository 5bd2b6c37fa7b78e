"""How many workers there are, and on which cores they run."""

from service.cores import container_cores, cores_of_workers
from service.settings import Settings


def worker_count(settings: Settings) -> int:
    """The number of worker processes: "auto" is one for each core."""
    return container_cores() if settings.workers == "auto" else settings.workers


def worker_cores(settings: Settings) -> list[int]:
    """The core of each worker, by its number; empty if each runs on any core."""
    return cores_of_workers(worker_count(settings)) if settings.worker_cores == "auto" else []


def with_worker_count(settings: Settings) -> Settings:
    """The same settings with a number in the place of "auto"."""
    return settings.model_copy(update={"workers": worker_count(settings)})
