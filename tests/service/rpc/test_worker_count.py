"""The number of workers."""

from service.cores import container_cores
from service.rpc.worker_count import with_worker_count, worker_count
from service.settings import Settings


def test_auto_is_a_worker_for_each_core() -> None:
    """A number stays as it is."""
    assert worker_count(Settings(workers="auto")) == container_cores()
    assert worker_count(Settings(workers=3)) == 3
    assert with_worker_count(Settings(workers="auto")) == Settings(workers=container_cores())
