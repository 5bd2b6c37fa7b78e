"""A load generator in a process of its own: callers that each wait for one answer before they ask again.

``python -m benchmarks.load ADDRESS METHOD CALLERS SECONDS < request`` prints one JSON object.
"""

import asyncio
import json
import sys
import time
from typing import Any

import grpc.aio
import numpy as np
import uvloop

_CALLERS_A_CHANNEL = 16
_WARM_UP_SECONDS = 0.3


def main() -> None:
    """Load, then say what was seen."""
    address, method, callers, seconds = sys.argv[1:]
    print(uvloop.run(_load(address, method, int(callers), float(seconds), sys.stdin.buffer.read())))


async def _load(address: str, method: str, callers: int, seconds: float, request: bytes) -> str:
    # A pool of its own for each channel, or grpc would put all of them on one connection.
    channels = [
        grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(-(-callers // _CALLERS_A_CHANNEL))
    ]
    start = time.perf_counter() + _WARM_UP_SECONDS
    latencies: list[float] = []

    async def call_on(number: int) -> None:
        call: Any = channels[number % len(channels)].unary_unary(method)
        while (before := time.perf_counter()) < start + seconds:
            await call(request, timeout=30)
            if before >= start:
                latencies.append(time.perf_counter() - before)

    await asyncio.gather(*(call_on(number) for number in range(callers)))
    await asyncio.gather(*(channel.close() for channel in channels))
    p50, p99 = np.percentile(latencies, [50, 99])
    return json.dumps({"requests": len(latencies), "seconds": seconds, "p50": p50, "p99": p99})


if __name__ == "__main__":
    main()
