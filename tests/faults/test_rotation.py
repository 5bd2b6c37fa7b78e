"""Certificates, authorities of callers and tokens are renewed twenty times under load."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.kit.callers.protocols import KanApi
from tests.kit.rotation import RotatedFiles, rotate
from tests.kit.server.kan_serve import Start

pytestmark = pytest.mark.faults

_ROTATIONS = 20
# A rotation takes seconds, in which callers without a pause would keep the processors busy.
_PAUSE_SECONDS = 0.02


def test_no_call_fails_while_certificates_and_tokens_rotate(
    kan_serve: Start, publish_version: Callable[..., Path], tmp_path: Path
) -> None:
    """Every call with a valid certificate and token is answered, on kept connections, on new ones and on streams.

    Each renewed certificate, authority and token is used in the end, and what was taken away lets nobody in.
    Half-written files change nothing and are told.
    """
    publish_version("kan")
    files = RotatedFiles(tmp_path / "access")
    server = kan_serve(*files.flags)
    request = KanApi.request("kan", np.ones((1, 4), np.float32))
    found = asyncio.run(rotate(server.grpc, server.metrics, files, request, _ROTATIONS, _PAUSE_SECONDS))
    assert found.failures == []
    assert (found.rotations, found.half_written) == (_ROTATIONS, _ROTATIONS // 2)
    assert min(found.answered[kind] for kind in ("kept", "new", "stream")) > _ROTATIONS
    code, log = server.stop()
    assert code == 0
    assert log.count("the last valid content stays in use") >= _ROTATIONS
    assert not any(each.token in log for each in files.generations)
