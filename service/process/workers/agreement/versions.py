"""The parent's side of the agreement on versions: when a version answers, and when a worker may take calls.

    a version is loaded by every worker that takes calls ─▶ each is told to arm it ─▶ all have ─▶ one flag is set: every
    worker answers with it from that moment on ─▶ each is told to serve it, and retires the version before

So a caller of two workers never sees a version go back. A worker that starts takes calls only when it serves what the
others serve.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.member import ANY_VERSION, Member, Version
from service.settings.version_policy import VersionPolicy

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Switch:
    """A version that becomes the latest one, its digest, its flag, and the workers that have not armed it yet."""

    digest: str
    place: int
    unarmed: set[Member]


class Versions:
    """The versions of all workers. Used on one event loop.

    Args:
        flags: Get one flag a switch.
        policy: Which versions may be served.
        polls: Whether workers search for new versions after their start.

    Attributes:
        members: The workers.
        settings: The number of the settings in force. A worker with others takes no calls.
    """

    def __init__(self, flags: Flags, policy: VersionPolicy, *, polls: bool) -> None:
        self.members: list[Member] = []
        self.settings = 0
        self._flags = flags
        self._policy = policy
        self._polls = polls
        self._held: asyncio.Future[None] | None = None
        self._switches: dict[Version, _Switch] = {}
        self._latest: dict[str, int] = {}  # what each worker that takes calls serves at least

    def add(self, tell: Callable[..., None]) -> Member:
        """A worker that starts.

        Args:
            tell: Sends it a message.
        """
        member = Member(tell, self.settings)
        self.members.append(member)
        return member

    def remove(self, member: Member) -> None:
        """A worker has ended."""
        self.members.remove(member)
        for switch in self._switches.values():
            switch.unarmed.discard(member)
        self._forget_unserved(*self._latest)
        self._settle()

    def take(self, member: Member, message: dict[str, Any]) -> None:
        """A message of a worker; see `messages`."""
        match message:
            case {"loading": [name, version]}:
                for number in (version, ANY_VERSION):
                    member.refusals.pop((name, number), None)
            case {"loaded": [name, version, digest]}:
                member.digests[name, version] = digest
            case {"refused": [name, version, reason]}:
                member.refusals[name, version] = reason
            case {"left": [name, version]}:
                self._leave(member, (name, version))
            case {"armed": [name, version]}:
                if (name, version) in self._switches:
                    self._switches[name, version].unarmed.discard(member)
            case {"settings": number}:
                member.settings = number
            case {"loaded all": _}:
                member.wants_calls = True
            case _:
                return
        self._settle()

    async def hold(self) -> None:
        """Until `release` no version is switched or served, and no worker begins to take calls. Wait for switches."""
        self._held = asyncio.get_running_loop().create_future()
        self._settle()
        await self._held

    def release(self) -> None:
        """Go on after `hold`."""
        self._held = None
        self._settle()

    def change(self, settings: int, policy: VersionPolicy, successors: Mapping[str, int]) -> None:
        """Other settings are in force.

        Args:
            settings: Their number.
            policy: Their version policy.
            successors: The latest version of each model whose workers have switched with them.
        """
        self.settings, self._policy = settings, policy
        self._latest.update(successors)

    def _leave(self, member: Member, version: Version) -> None:
        member.digests.pop(version, None)
        member.serves.discard(version)
        member.refusals.pop(version, None)
        if version in self._switches:
            self._switches[version].unarmed.discard(member)
        self._forget_unserved(version[0])

    def _forget_unserved(self, *names: str) -> None:
        """Nobody can see a version go back of models that no worker serves any more: callers have unloaded them."""
        serving = (each for member in self.members if member.takes_calls for each in member.serves)
        served = {name for name, _ in (*self._switches, *serving)}
        for name in set(names) - served:
            self._latest.pop(name, None)

    def _settle(self) -> None:
        """Do everything that the last change allows."""
        for version, switch in list(self._switches.items()):
            if not switch.unarmed:
                del self._switches[version]
                self._flags.set(switch.place)
                # A worker that starts may have other bytes.
                self._serve(
                    version, [each for each in self._waiting(version) if each.digests[version] == switch.digest]
                )
                self._forget_unserved(version[0])
        if self._held is not None:
            if not self._switches and not self._held.done():
                self._held.set_result(None)
            return
        for version in sorted({each for member in self.members for each in member.digests.keys() - member.serves}):
            self._decide(version)
        for member in self.members:
            if member.wants_calls and not member.takes_calls and self._is_abreast(member):
                member.takes_calls = True
                for name, number in member.serves:
                    self._latest[name] = max(number, self._latest.get(name, 0))
                member.tell(listen=True)

    def _decide(self, version: Version) -> None:
        """Refuse, serve or switch to a version that some workers have loaded and wait with."""
        name, number = version
        if any(each == name for each, _ in self._switches) or not (waiting := self._with_right_bytes(version)):
            return
        in_use = [member for member in self.members if member.takes_calls]
        latest = self._latest.get(name, 0)
        is_lower = number < latest and latest in self._policy.wanted(name, [latest])[0]
        if is_lower or any(version in each.serves for each in in_use):
            self._serve(version, waiting)  # answers by its number only, or as in the others already
            return
        reasons = [reason for member in in_use if (reason := member.refusal(version))]
        if reasons:
            self._refuse(version, waiting, f"another worker refused it: {reasons[0]}")
        elif not in_use:
            self._serve(version, waiting)
        elif all(version in member.digests for member in in_use):
            place = self._flags.new()
            self._latest[name] = number
            self._switches[version] = _Switch(in_use[0].digests[version], place, set(in_use))
            for member in in_use:
                member.tell(arm=[*version, place])
        elif not self._polls and not any(version in member.digests for member in in_use):
            self._refuse(version, waiting, "other workers started before it was published, and search for no versions")

    def _with_right_bytes(self, version: Version) -> list[Member]:
        """The workers that wait with a version, without those that have other bytes than the rest: they are refused.

        The bytes that others serve are right. Among different bytes that nobody serves, none are: all workers read the
        files again.
        """
        waiting = self._waiting(version)
        served = {each.digests[version] for each in self.members if version in each.serves}
        right = served or {each.digests[version] for each in waiting}
        wrong = [each for each in waiting if len(right) > 1 or each.digests[version] not in right]
        self._refuse(version, wrong, "another worker has other bytes under this number; publish them as a new version")
        return [each for each in waiting if each not in wrong]

    def _waiting(self, version: Version) -> list[Member]:
        return [each for each in self.members if version in each.digests and version not in each.serves]

    def _serve(self, version: Version, members: Iterable[Member]) -> None:
        for member in members:
            member.serves.add(version)
            member.tell(serve=list(version))

    def _refuse(self, version: Version, members: Iterable[Member], reason: str) -> None:
        for member in members:
            del member.digests[version]
            member.tell(refuse=[*version, reason])

    def _is_abreast(self, member: Member) -> bool:
        """Whether a worker serves what others serve by the same settings: versions neither older nor newer."""
        if member.settings != self.settings:
            return False
        if not any(each.takes_calls for each in self.members):
            return True
        if self._switches:  # others serve neither the old version nor the new one for sure
            return False
        served: defaultdict[str, int] = defaultdict(int)
        for name, number in member.serves:
            served[name] = max(number, served[name])
        apart = [name for name in served.keys() | self._latest.keys() if served[name] != self._latest.get(name, 0)]
        if not apart:
            return True
        name = min(apart)
        shown = (_shown(served[name]), name, _shown(self._latest.get(name, 0)))
        if member.logged != shown:
            member.logged = shown
            _log.warning("a worker starts and takes no calls yet: it serves %s of model %s, and others %s", *shown)
        return False


def _shown(version: int) -> str:
    return f"version {version}" if version else "no version"
