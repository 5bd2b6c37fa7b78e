"""The number of threads that torch uses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kan_model import KAN

# A step with fewer multiplications is slower on several threads: they wait for each other after every operation, and
# wait longer if other processes use the machine.
_WORTH_SHARING = 50_000_000


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set torch's number of threads inside the `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_for(kan: KAN, rows: int) -> int:
    """Threads for steps of ``rows`` rows: 1 for small networks, else one per core that this process may use."""
    if rows * sum(parameter.numel() for parameter in kan.parameters()) < _WORTH_SHARING:
        return 1
    # Torch's own default counts the host's cores, of which a container may have fewer.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
