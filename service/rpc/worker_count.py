"""How many workers there are: "auto" is one for each core."""

from service.cores import container_cores
from service.settings import Settings


def worker_count(settings: Settings) -> int:
    """The number of worker processes."""
    return container_cores() if settings.workers == "auto" else settings.workers


def with_worker_count(settings: Settings) -> Settings:
    """The same settings with a number in the place of "auto"."""
    return settings.model_copy(update={"workers": worker_count(settings)})
