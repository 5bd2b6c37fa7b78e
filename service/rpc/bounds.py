"""How many calls, streams and bytes are held at once: the bounds in the settings, and those of short calls."""

from dataclasses import dataclass

from service.rpc.calls import Method, ServerStream
from service.settings import Settings

# Methods that tell whether the server lives and what it serves. Their messages are short, and a full server must answer
# them: they are admitted apart.
_APART_PROTOCOLS = ("health", "reflection")
_APART_PATHS = tuple(f"/inference.GRPCInferenceService/{name}" for name in ("ServerLive", "ServerReady", "ModelReady"))
APART_MAX_MESSAGE_BYTES = 64 * 1024


def is_apart(method: Method) -> bool:
    """Whether the calls of a method count apart from calls with rows."""
    return method.protocol in _APART_PROTOCOLS or method.path in _APART_PATHS


@dataclass(frozen=True)
class Bounds:
    """Most that is held at once.

    Args:
        calls: With one request.
        streams: Of requests.
        held_bytes: Of requests, complete or not, and of a stream's answers that its caller has not taken. As much again
            of other answers that callers have not read.
    """

    calls: int
    streams: int
    held_bytes: int


def bounds(settings: Settings) -> Bounds:
    """The bounds in the settings."""
    return Bounds(settings.max_calls, settings.max_streams, settings.max_inflight_bytes)


APART = Bounds(calls=1000, streams=16, held_bytes=16 * APART_MAX_MESSAGE_BYTES)
# A health watch stays open for ever, one for each client: it takes no place of a health check, which ends at once.
WATCHES = Bounds(calls=16_384, streams=1, held_bytes=16_384 * 1024)


def apart_bounds(method: Method) -> Bounds:
    """Bounds of a method that counts apart; methods of other bounds take none of its places."""
    return WATCHES if isinstance(method, ServerStream) else APART
