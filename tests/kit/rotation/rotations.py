"""Rotations under load, each of which must take effect."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.kit.rotation.callers import Callers
from tests.kit.rotation.files import Generation, RotatedFiles
from tests.kit.server import metrics
from tests.kit.server.certificates import shown_serial
from tests.kit.waiting import until_elsewhere

_KEPT, _CONNECTING, _STREAMING = 3, 2, 1
_SECONDS = 60


@dataclass(frozen=True)
class Rotated:
    """What became of rotations, and of calls meanwhile.

    Attributes:
        rotations: Number of rotations that took effect.
        half_written: Number of those whose files were half-written first.
        answered: Number of answers, by kind of caller: "kept", "new" (a connection for each call), "stream".
        failures: One text for each failed call.
        slowest_seconds: Longest time from the replaced files to their effect.
    """

    rotations: int
    half_written: int
    answered: Mapping[str, int]
    failures: Sequence[str]
    slowest_seconds: float


async def rotate(
    address: str, http: str, files: RotatedFiles, request: bytes, rotations: int, pause_seconds: float = 0.0
) -> Rotated:
    """Renew what a server has on disk, under load; every second time the files are half-written first.

    Args:
        address: Of the server's gRPC port.
        http: Of its metrics.
        files: Are on disk, with generation 0.
        request: Of Predict and PredictStream.
        rotations: Number of rotations.
        pause_seconds: How long each caller waits after a call; one with a stream waits after 16 requests.

    Raises:
        AssertionError: A rotation took no effect, or a half-written file took one, or was not told.
    """
    callers = Callers(address, files, request, pause_seconds)
    server = _Server(address, http, callers)
    half_written, slowest_seconds = 0, 0.0
    async with callers.calling(_KEPT, _CONNECTING, _STREAMING):
        await callers.move(files.generations[0])
        for number in range(1, rotations + 1):
            old, new = files.generations[-1], files.make_next()
            if number % 2 == 0:
                files.half_write()
                await server.check_unchanged(old, new)
                half_written += 1
            files.replace()
            replaced = time.monotonic()
            await server.wait_until_taken(new)
            slowest_seconds = max(slowest_seconds, time.monotonic() - replaced)
            if number > 1:
                await server.wait_until_ended(files.generations[-3], new)
            await callers.move(new)
    return Rotated(rotations, half_written, callers.answered, callers.failures, slowest_seconds)


@dataclass(frozen=True)
class _Server:
    """What a server shows from outside."""

    address: str
    http: str
    callers: Callers

    async def check_unchanged(self, old: Generation, new: Generation) -> None:
        """Half-written files are told and change nothing."""
        await until_elsewhere(lambda: self._valid() == (0.0, 0.0))
        assert await asyncio.to_thread(shown_serial, self.address) == old.server_serial
        assert await self.callers.code(old, old) == "OK"
        assert await self.callers.code(old, new) == "UNAUTHENTICATED"
        assert await self.callers.code(new, old) == "UNAVAILABLE"

    async def wait_until_taken(self, new: Generation) -> None:
        """New connections see the new certificate; a caller of the new authority with the new token is answered."""
        await until_elsewhere(lambda: shown_serial(self.address) == new.server_serial)
        await self._wait_until_code(new, new, "OK")
        await until_elsewhere(lambda: self._valid() == (1.0, 1.0))

    async def wait_until_ended(self, old: Generation, new: Generation) -> None:
        """A token and an authority that are no more on disk let nobody in."""
        await self._wait_until_code(new, old, "UNAUTHENTICATED")
        await self._wait_until_code(old, new, "UNAVAILABLE")

    def _valid(self) -> tuple[float, float]:
        families = metrics.read(self.http)
        certificates, tokens = (
            metrics.total(families, "kan_access_file_valid", file=file) for file in ("certificates", "tokens")
        )
        return certificates, tokens

    async def _wait_until_code(self, certificate: Generation, token: Generation, wanted: str) -> None:
        async with asyncio.timeout(_SECONDS):
            while await self.callers.code(certificate, token) != wanted:  # noqa: ASYNC110 - a server is asked
                await asyncio.sleep(0.02)  # a pause between two questions to another program
