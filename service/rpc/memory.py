"""How much memory a server takes at most, how much it may take, and how it gives back what a burst took.

    most = base
         + 3 × max_inflight_bytes          requests: the message, what protobuf makes of it, its rows
         + 2 × max_inflight_bytes          answers that callers have not read: Python's, and the front end's
         + max_calls × 192 KiB             a call itself, and what the front end holds of it unread, either way
         + messages × max_message_bytes    messages that the front end receives as a whole
         + 5 × the models' files           while they are loaded: what max_model_bytes says

`messages` is, behind grpcio, max_inflight_bytes / max_message_bytes + max_streams + 2: its core receives a message
before Python sees a byte of it. Behind Envoy it is 4: Python counts all others piece by piece. Superseded versions
(`linger_bytes`) come on top of it. So do connections, whose number nothing bounds, and behind Envoy what callers
leave unread of answers for less than 20 s: at most 64 KiB of each. Each of several workers takes as much, and their
parent 80 MiB.
"""

import asyncio
import ctypes
import resource
from pathlib import Path
from typing import Final

from service.rpc.limits import APART_RECEIVING, UNREAD_BYTES, WAITING_BODIES
from service.rpc.worker_count import worker_count
from service.settings import Settings

# The processes with nothing to do: Python, onnxruntime, protobuf; with Envoy, its code and the kan-serve beside it. And
# what the allocators keep between bursts.
_BASE_BYTES: Final = {"grpcio": 160 * 2**20, "envoy": 256 * 2**20}
_STORAGE_BYTES: Final = 40 * 2**20
# The process that watches several workers.
_PARENT_BYTES: Final = 80 * 2**20

# A request that is being answered is there as it came, as protobuf's message and as rows.
_COPIES: Final = 3
_ANSWER_COPIES: Final = 2
_CALL_BYTES: Final = 128 * 1024
# The file, onnxruntime's copies of it while it makes a session, and what it makes of it to be faster.
_MODEL_COPIES: Final = 5

_PAGE_BYTES: Final = resource.getpagesize()
_LOOK_SECONDS: Final = 5.0
_GROWN_BYTES: Final = 16 * 2**20
_TRIMS_A_BURST: Final = 6


def most_bytes(settings: Settings, model_bytes: int = 0) -> int:
    """Most memory that the server's processes take, resident.

    Args:
        settings: The bounds.
        model_bytes: Size of the files of the versions that are served; superseded ones are not among them.
    """
    if settings.frontend == "envoy":
        messages = WAITING_BODIES
    else:
        messages = settings.max_inflight_bytes // settings.max_message_bytes + settings.max_streams + APART_RECEIVING
    one = (
        _BASE_BYTES[settings.frontend]
        + ("://" in str(settings.models)) * _STORAGE_BYTES
        + (_COPIES + _ANSWER_COPIES) * settings.max_inflight_bytes
        + settings.max_calls * (UNREAD_BYTES + _CALL_BYTES)
        + messages * settings.max_message_bytes
        + _MODEL_COPIES * model_bytes
    )
    return one if settings.workers == 1 else _PARENT_BYTES + worker_count(settings) * one


def linger_room_bytes(settings: Settings, limit_bytes: int | None, model_bytes: int) -> int:
    """Memory for the superseded versions of one worker: its part of `linger_bytes`, or of what the container has left.

    Args:
        settings: The bounds.
        limit_bytes: What the container may take; None where nothing bounds it.
        model_bytes: Size of the files of the versions that are served.
    """
    if limit_bytes is None:
        return settings.linger_bytes // worker_count(settings)
    left_bytes = min(settings.linger_bytes, limit_bytes - most_bytes(settings, model_bytes))
    return max(0, left_bytes // worker_count(settings))


def container_limit_bytes(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The memory that the container of this process may take; None where nothing bounds it.

    Args:
        root: Where control groups are mounted; a container sees its own there.
    """
    limits = [_limit_in(root / file) for file in ("memory.max", "memory/memory.limit_in_bytes")]
    return min((limit for limit in limits if limit is not None), default=None)


def _limit_in(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    # Version 2 says "max" where there is no limit, version 1 a number beyond any machine.
    return int(text) if text.isdigit() and int(text) < 2**60 else None


def resident_bytes() -> int | None:
    """The memory of this process; None where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return None


async def give_back() -> None:
    """Give memory back to the system after each burst, for as long as it runs.

    Glibc's allocator keeps what was freed below what is in use, in an arena for each thread of gRPC's core: 200 MB
    after a burst where 120 are in use.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None or (least_bytes := resident_bytes()) is None:
        return
    trims = 0
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if (resident_bytes() or 0) > least_bytes + _GROWN_BYTES:
            trims = _TRIMS_A_BURST  # the burst may go on yet
        if trims:
            trims -= 1
            await asyncio.to_thread(trim, 0)
        least_bytes = resident_bytes() or 0
