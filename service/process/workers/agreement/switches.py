"""Switches: all workers that take calls begin to answer with another version at one moment."""

import asyncio
from collections.abc import Collection, Set
from dataclasses import dataclass, field

from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.member import Member, Version


@dataclass(eq=False)
class Switch:
    """A version that becomes the latest one.

    Attributes:
        version: The version.
        digest: Of its bytes.
        flag: The number of its flag.
        members: The workers that take part.
        goes_back: Whether it is an earlier version, because newer ones are withdrawn.
        unarmed: The workers that have not armed it yet.
        over: Set at its end.
    """

    version: Version
    digest: str
    flag: int
    members: set[Member]
    goes_back: bool
    unarmed: set[Member]
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Switches:
    """The switches under way, at most one a model. Used on one event loop.

    Args:
        flags: Get one flag a switch.
    """

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._by_model: dict[str, Switch] = {}

    def names(self) -> Set[str]:
        """The models that are switched."""
        return self._by_model.keys()

    def begin(self, version: Version, members: Collection[Member], *, goes_back: bool = False) -> None:
        """Have workers arm a version, which all of them have loaded."""
        digest = next(iter(members)).loads[version].digest
        flag = self._flags.new()
        self._by_model[version[0]] = Switch(version, digest, flag, set(members), goes_back, set(members))
        for member in members:
            (member.arm_back if goes_back else member.arm)(version, flag)

    def begin_way_back(self, name: str, members: Collection[Member]) -> None:
        """Have workers go back to an earlier version: those that take calls together, each other one by itself."""
        in_use = [member for member in members if member.takes_calls]
        for group in (in_use, *([member] for member in members if not member.takes_calls)):
            versions = {version for member in group if (version := member.earlier_version(name)) is not None}
            if name in self._by_model or len(versions) != 1:
                continue
            (version,) = versions
            going = [member for member in group if member.earlier_version(name) == version]
            # One that has gone back alone is there already.
            if all(member in going or member.highest(name) == version[1] for member in group):
                self.begin(version, going, goes_back=True)

    def armed(self, member: Member, name: str, flag: int) -> None:
        """A worker has armed the version of this flag."""
        if name in self._by_model and self._by_model[name].flag == flag:
            self._by_model[name].unarmed.discard(member)

    def left(self, member: Member, version: Version) -> None:
        """A worker has a version no longer: the others do not switch to it."""
        switch = self._by_model.get(version[0])
        if switch is not None and switch.version == version:
            self._call_off(switch, member)

    def stays(self, member: Member, name: str) -> bool:
        """A worker does not go back as it said: the others do not either. Gives whether they were about to."""
        switch = self._by_model.get(name)
        return switch is not None and switch.goes_back and self._call_off(switch, member)

    def remove(self, member: Member) -> None:
        """A worker has ended."""
        for switch in self._by_model.values():
            switch.members.discard(member)
            switch.unarmed.discard(member)

    def end(self, name: str) -> Switch | None:
        """End the switch of a model if every worker has armed it: from now on they answer with its version."""
        switch = self._by_model.get(name)
        if switch is None or switch.unarmed:
            return None
        self._flags.set(switch.flag)
        switch.over.set()
        return self._by_model.pop(name)

    async def until_over(self, name: str) -> bool:
        """Wait until a model is not switched. Gives whether it was."""
        was_switched = name in self._by_model
        while name in self._by_model:
            await self._by_model[name].over.wait()
        return was_switched

    def _call_off(self, switch: Switch, member: Member) -> bool:
        """End a switch before its moment, because a worker that takes part does not any more. Gives whether it did."""
        if member not in switch.members:
            return False
        name = switch.version[0]
        switch.over.set()
        del self._by_model[name]
        for each in switch.members - {member}:
            if switch.goes_back:  # it says anew what it wants
                each.end_back(name, is_back=False)
            else:  # it goes on to wait
                each.disarm(switch.version)
        return True
