"""The parent's side of the agreement on versions: when a version answers, and when a worker may take calls.

    a version is loaded by every worker that takes calls ─▶ each is told to arm it ─▶ all have ─▶ one flag is set: every
    worker answers with it from that moment on ─▶ each is told to serve it, and retires the version before

So a caller of two workers never sees a version go back. A worker that starts takes calls only when it serves what the
others serve.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from service.process.workers.flags import Flags

_log = logging.getLogger(__name__)

Version = tuple[str, int]


@dataclass(eq=False)
class Member:
    """What is known of one worker.

    Attributes:
        tell: Sends it a message.
        digests: Of the versions that it has loaded.
        serves: The versions among them that it was told to serve.
        refusals: Reasons, by version.
        wants_calls: Whether it has loaded all that it found, and waits for leave to listen.
        takes_calls: Whether it has that leave.
        logged: Why it has not, as it was logged last.
    """

    tell: Callable[..., None]
    digests: dict[Version, str] = field(default_factory=dict)
    serves: set[Version] = field(default_factory=set)
    refusals: dict[Version, str] = field(default_factory=dict)
    wants_calls: bool = False
    takes_calls: bool = False
    logged: tuple[str, str, str] | None = None


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
        polls: Whether workers search for new versions after their start.
    """

    def __init__(self, flags: Flags, *, polls: bool) -> None:
        self._flags = flags
        self._polls = polls
        self._places = count()
        self._members: list[Member] = []
        self._switches: dict[Version, _Switch] = {}
        self._latest: dict[str, int] = {}  # what each worker that takes calls serves at least

    def add(self, tell: Callable[..., None]) -> Member:
        """A worker that starts.

        Args:
            tell: Sends it a message.
        """
        member = Member(tell)
        self._members.append(member)
        return member

    def remove(self, member: Member) -> None:
        """A worker has ended."""
        self._members.remove(member)
        for switch in self._switches.values():
            switch.unarmed.discard(member)
        if not any(each.takes_calls for each in self._members):
            self._latest.clear()  # nobody can see a version go back that nobody serves
        self._settle()

    def take(self, member: Member, message: dict[str, Any]) -> None:
        """A message of a worker; see `messages`."""
        match message:
            case {"loading": [name, version]}:
                member.refusals.pop((name, version), None)
            case {"loaded": [name, version, digest]}:
                member.digests[name, version] = digest
            case {"refused": [name, version, reason]}:
                member.refusals[name, version] = reason
            case {"left": [name, version]}:
                self._leave(member, (name, version))
            case {"armed": [name, version]}:
                if (name, version) in self._switches:
                    self._switches[name, version].unarmed.discard(member)
            case {"loaded all": _}:
                member.wants_calls = True
            case _:
                return
        self._settle()

    def _leave(self, member: Member, version: Version) -> None:
        member.digests.pop(version, None)
        member.serves.discard(version)
        member.refusals.pop(version, None)
        if version in self._switches:
            self._switches[version].unarmed.discard(member)

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
        for version in sorted({each for member in self._members for each in member.digests.keys() - member.serves}):
            self._decide(version)
        for member in self._members:
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
        in_use = [member for member in self._members if member.takes_calls]
        latest = self._latest.get(name, 0)
        if number < latest or any(version in each.serves for each in in_use):
            self._serve(version, waiting)  # answers by its number only, or as in the others already
            return
        reasons = [member.refusals[version] for member in in_use if version in member.refusals]
        if reasons:
            self._refuse(version, waiting, f"another worker refused it: {reasons[0]}")
        elif not in_use:
            self._serve(version, waiting)
        elif all(version in member.digests for member in in_use):
            place = next(self._places)
            self._flags.clear(place)
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
        served = {each.digests[version] for each in self._members if version in each.serves}
        right = served or {each.digests[version] for each in waiting}
        wrong = [each for each in waiting if len(right) > 1 or each.digests[version] not in right]
        self._refuse(version, wrong, "another worker has other bytes under this number; publish them as a new version")
        return [each for each in waiting if each not in wrong]

    def _waiting(self, version: Version) -> list[Member]:
        return [each for each in self._members if version in each.digests and version not in each.serves]

    def _serve(self, version: Version, members: Iterable[Member]) -> None:
        for member in members:
            member.serves.add(version)
            member.tell(serve=list(version))

    def _refuse(self, version: Version, members: Iterable[Member], reason: str) -> None:
        for member in members:
            del member.digests[version]
            member.tell(refuse=[*version, reason])

    def _is_abreast(self, member: Member) -> bool:
        """Whether a worker serves the versions that others serve, none older and none newer."""
        if not any(each.takes_calls for each in self._members):
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
