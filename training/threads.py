"""How many threads torch computes with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kan_model import KAN

# Multiplications of a step below which threads cost more than they bring: they wait for one another after every
# operation, and on a machine that others use too for very long.
_WORTH_SHARING = 50_000_000


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_for(kan: KAN, rows: int) -> int:
    """Threads for steps of ``rows`` rows: one for small networks, else a thread a core that this process may use."""
    if rows * sum(parameter.numel() for parameter in kan.parameters()) < _WORTH_SHARING:
        return 1
    # Torch itself would count the host's cores, which a container may not have.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
