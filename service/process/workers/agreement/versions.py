"""The parent's side of the agreement on versions: when a version answers, and when a worker may take calls.

    a version is loaded by every worker that takes calls ─▶ each is told to arm it ─▶ all have ─▶ one flag is set: every
    worker answers with it from that moment on ─▶ each is told to serve it, and retires the version before

So a caller of two workers never sees a version go back. After a rollback the workers switch to the version before in
the same way: until all that take calls are ready for it, each goes on with the withdrawn one. A worker that starts
takes calls only when it serves what the others serve. A message is about one version, and only what depends on it is
decided again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.latest import Latest
from service.process.workers.agreement.member import ANY_VERSION, Load, Member, Version, WayBack
from service.process.workers.agreement.switches import Switches
from service.settings.version_policy import VersionPolicy


class Versions:
    """The versions of all workers. Used on one event loop.

    Args:
        flags: Get one flag a switch.
        policy: Which versions may be served.
        polls: Whether workers search for new versions after their start.

    Attributes:
        members: The workers.
        settings: The number of the settings in force. A worker with others takes no calls.
        until_switched: Waits until a model is not switched. Gives whether it was.
    """

    def __init__(self, flags: Flags, policy: VersionPolicy, *, polls: bool) -> None:
        self.members: list[Member] = []
        self.settings = 0
        self._policy = policy
        self._polls = polls
        self._held: asyncio.Future[None] | None = None
        self._switches = Switches(flags)
        self.until_switched = self._switches.until_over
        self._latest = Latest(self.members)
        # By model, the versions with which a worker waits.
        self._undecided: defaultdict[str, set[int]] = defaultdict(set)

    def add(self, tell: Callable[..., None]) -> Member:
        """A worker that starts.

        Args:
            tell: Sends it a message.
        """
        member = Member(tell, self.settings)
        self._latest.begin(member)
        self.members.append(member)
        return member

    def remove(self, member: Member) -> None:
        """A worker has ended."""
        self.members.remove(member)
        member.end(self.members)
        self._switches.remove(member)
        for name in list(self._switches.names()):
            self._end_switch(name)
        for name in self._latest.names() - self._switches.names():
            self._latest.lower(name)
        self._settle_all()

    def take(self, member: Member, message: dict[str, Any]) -> None:
        """A message of a worker; see `messages`."""
        match message:
            case {"loading": [name, version]}:
                member.begin_load((name, version))
                self._settle(name, version)
            case {"loaded": [name, version, digest, number]}:
                member.end_load((name, version), Load(digest, number), self.members)
                if not member.serves((name, version)):
                    self._undecided[name].add(version)
                self._settle(name, version)
            case {"refused": [name, version, reason]}:
                member.refusals[name, version] = reason
                self._settle(name, None if version == ANY_VERSION else version)
            case {"left": [name, version]}:
                self._leave(member, (name, version))
            case {"armed": [name, version, flag]}:
                self._switches.armed(member, name, flag)
                self._settle(name, version)
            case {"withdrawn": [name, version, successor, number]}:
                is_called_off = self._switches.stays(member, name)
                member.earlier[name] = WayBack(version, successor, number)
                if not successor:
                    del member.earlier[name]
                self._settle(name, None if is_called_off else version)
            case {"settings": number}:
                member.settings = number
                self._admit()
            case {"loaded all": _}:
                member.wants_calls, member.takes_calls = True, False  # or it has not taken the leave
                self._admit()

    async def hold(self) -> None:
        """Until `release` no version is switched or served, and no worker begins to take calls. Wait for switches."""
        self._held = asyncio.get_running_loop().create_future()
        self._admit()
        await self._held

    def release(self) -> None:
        """Go on after `hold`."""
        self._held = None
        self._settle_all()

    def change(self, settings: int, policy: VersionPolicy, successors: Mapping[str, int]) -> None:
        """Other settings are in force.

        Args:
            settings: Their number.
            policy: Their version policy.
            successors: The latest version of each model whose workers have switched with them.
        """
        self.settings, self._policy = settings, policy
        for name, number in successors.items():
            self._latest.set(name, number)
            self._latest.lower(name)  # it may have been unloaded meanwhile

    def _leave(self, member: Member, version: Version) -> None:
        name, number = version
        member.lefts += 1
        member.leave(version)
        self._latest.compare(member, name)
        self._switches.left(member, version)
        is_lowered = name not in self._switches.names() and self._latest.lower(name)
        self._settle(name, None if is_lowered else number)

    def _settle(self, name: str, number: int | None = None) -> None:
        """Do everything that a change of one version allows, or of any version of a model."""
        if self._end_switch(name):
            number = None
        if self._held is None:
            self._decide_on(name, number)
        self._admit()

    def _settle_all(self) -> None:
        """Do everything that a change of the workers, or of the settings, allows."""
        if self._held is None:
            for name in sorted(set(self._undecided).union(*(member.earlier for member in self.members))):
                self._decide_on(name)
        self._admit()

    def _end_switch(self, name: str) -> bool:
        """End the switch of a model, if all have armed it."""
        switch = self._switches.end(name)
        if switch is None:
            return False
        if switch.goes_back:
            for member in switch.members:
                member.go_back(switch.version)
                self._latest.compare(member, name)
        else:
            # A worker that starts may have other bytes.
            waiting, version = self._waiting(switch.version), switch.version
            self._serve(version, [each for each in waiting if each.loads[version].digest == switch.digest])
        self._latest.lower(name)
        return True

    def _admit(self) -> None:
        """Let workers take calls that serve what the others serve."""
        if self._held is not None:
            if not self._switches.names() and not self._held.done():
                self._held.set_result(None)
            return
        for member in self.members:
            if member.wants_calls and not member.takes_calls and self._is_abreast(member):
                member.takes_calls = True
                self._latest.join(member)
                member.tell(listen=member.lefts)
                self._settle_all()  # versions may have waited for it
                return

    def _decide_on(self, name: str, number: int | None = None) -> None:
        """Decide on one version of a model, or on all with which workers wait, and whether they go back."""
        numbers = self._undecided.get(name, set())
        for each in sorted(numbers) if number is None else sorted(numbers & {number}):
            if name in self._switches.names():
                return
            self._decide((name, each))
            if not self._waiting((name, each)):
                numbers.discard(each)
        if not numbers:
            self._undecided.pop(name, None)
        self._switches.begin_way_back(name, self.members)

    def _decide(self, version: Version) -> None:
        """Refuse, serve or switch to a version that some workers have loaded and wait with."""
        name, number = version
        if not (waiting := self._with_right_bytes(version)):
            return
        in_use = [member for member in self.members if member.takes_calls]
        latest = self._latest.of(name)
        is_lower = number < latest and latest in self._policy.wanted(name, [latest])[0]
        if is_lower or any(each.serves(version) for each in in_use):
            self._serve(version, waiting)  # answers by its number only, or as in the others already
            return
        reasons = [reason for member in in_use if (reason := member.refusal(version))]
        if reasons:
            self._refuse(version, waiting, f"another worker refused it: {reasons[0]}")
        elif not in_use:
            self._serve(version, waiting)
        elif all(version in member.loads for member in in_use):
            self._latest.set(name, number)
            self._switches.begin(version, in_use)
        elif not self._polls and not any(version in member.loads for member in in_use):
            self._refuse(version, waiting, "other workers started before it was published, and search for no versions")

    def _with_right_bytes(self, version: Version) -> list[Member]:
        """The workers that wait with a version, without those that have other bytes than the rest: they are refused.

        The bytes that others serve are right. Among different bytes that nobody serves, none are: all workers read the
        files again.
        """
        waiting = self._waiting(version)
        served = {each.loads[version].digest for each in self.members if each.serves(version)}
        right = served or {each.loads[version].digest for each in waiting}
        wrong = [each for each in waiting if len(right) > 1 or each.loads[version].digest not in right]
        self._refuse(version, wrong, "another worker has other bytes under this number; publish them as a new version")
        return [each for each in waiting if each not in wrong]

    def _waiting(self, version: Version) -> list[Member]:
        return [each for each in self.members if each.waits_with(version)]

    def _serve(self, version: Version, members: Iterable[Member]) -> None:
        for member in members:
            member.serve(version)
            self._latest.compare(member, version[0])

    def _refuse(self, version: Version, members: Iterable[Member], reason: str) -> None:
        for member in members:
            member.refuse(version, reason)

    def _is_abreast(self, member: Member) -> bool:
        """Whether a worker serves what others serve by the same settings: versions neither older nor newer."""
        if member.settings != self.settings:
            return False
        if not any(each.takes_calls for each in self.members):
            return True
        # During a switch others serve neither the old version nor the new one for sure. A worker that goes back by
        # itself does so first.
        return not self._switches.names() and not member.earlier and self._latest.is_abreast(member)
