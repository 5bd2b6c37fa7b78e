"""Calls that fail while certificates and tokens are renewed, on one front end."""

import asyncio
from pathlib import Path

from benchmarks.common import servers
from benchmarks.common.http2 import Security
from benchmarks.common.served_models import ServedModel
from tests.kit.rotation import Rotated, RotatedFiles, rotate


def measure_rotations(front_end: str, model: ServedModel, folder: Path, rotations: int) -> Rotated:
    """Renew them so many times under load.

    Args:
        front_end: Of the server.
        model: What it serves.
        folder: An empty folder for certificates and tokens.
        rotations: Number of rotations.

    Raises:
        AssertionError: A rotation took no effect, or a half-written file took one.
    """
    files = RotatedFiles(folder)
    first = files.generations[0]
    security = Security(files.ca, first.pair.cert, first.pair.key, first.token)
    request = model.exchanges("predict", 1, 1)[0].request
    with servers.ours("rotations", "ours", model, front_end, *files.flags, security=security) as server:
        return asyncio.run(rotate(server.address, server.http_address, files, request, rotations))
