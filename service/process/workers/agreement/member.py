"""What the parent knows of one worker that takes part in the agreement."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Version = tuple[str, int]
# In a refusal, in the place of a number.
ANY_VERSION = 0


@dataclass(frozen=True)
class Load:
    """A version that a worker has loaded: the digest of its bytes, and the number of the worker's report."""

    digest: str
    number: int


@dataclass(frozen=True)
class WayBack:
    """The version that is withdrawn, the earlier one to go back to, and the number of the worker's report."""

    withdrawn: int
    successor: int
    number: int


@dataclass(eq=False)
class Member:
    """What is known of one worker.

    Attributes:
        tell: Sends it a message.
        settings: The number of its settings.
        loads: Of the versions that it has loaded.
        served: The numbers among them that it was told to serve, by model.
        earlier: By model, what it wants to go back from and to.
        refusals: Reasons, by version. Those of ANY_VERSION are for each version of the model that it has not loaded.
        retried: Versions that it refused and tries again, until it has loaded them.
        wants_calls: Whether it has loaded all that it found, and waits for leave to listen.
        takes_calls: Whether it has that leave.
        lefts: How many versions it has reported as left. It takes no leave that was given before the last of them.
        apart: The models of which it serves another version than the latest one; see `latest`.
        logged: One of them, as it was logged last.
        apart_as_logged: The most that they have been since then.
    """

    tell: Callable[..., None]
    settings: int = 0
    loads: dict[Version, Load] = field(default_factory=dict)
    served: dict[str, set[int]] = field(default_factory=dict)
    earlier: dict[str, WayBack] = field(default_factory=dict)
    refusals: dict[Version, str] = field(default_factory=dict)
    retried: set[Version] = field(default_factory=set)
    wants_calls: bool = False
    takes_calls: bool = False
    lefts: int = 0
    apart: set[str] = field(default_factory=set)
    logged: tuple[str, str, str] | None = None
    apart_as_logged: int = 0

    def serves(self, version: Version) -> bool:
        """Whether it was told to serve a version."""
        return version[1] in self.served.get(version[0], ())

    def waits_with(self, version: Version) -> bool:
        """Whether it has loaded a version, and was not told to serve it."""
        return version in self.loads and not self.serves(version)

    def highest(self, name: str) -> int:
        """The latest version of a model that it serves; 0 for none."""
        return max(self.served.get(name, ()), default=0)

    def serve(self, version: Version) -> None:
        """It is told to serve a version."""
        self.served.setdefault(version[0], set()).add(version[1])
        self.tell(serve=[*version, self.loads[version].number])

    def refuse(self, version: Version, reason: str) -> None:
        """It is told to refuse a version that it has loaded."""
        self.tell(refuse=[*version, reason, self.loads.pop(version).number])

    def arm(self, version: Version, flag: int) -> None:
        """It is told to answer with a version that it has loaded once a flag is set."""
        self.tell(arm=[*version, flag, self.loads[version].number])

    def disarm(self, version: Version) -> None:
        """It is told that the version does not take over now."""
        self.tell(disarm=[*version, self.loads[version].number])

    def arm_back(self, version: Version, flag: int) -> None:
        """It is told to go back to a version once a flag is set."""
        self.tell(**{"arm back": [*version, flag, self.earlier[version[0]].number]})

    def end_back(self, name: str, *, is_back: bool) -> None:
        """It is told that it has gone back, or that it does not do so now."""
        self.tell(**{"end back": [name, is_back, self.earlier.pop(name).number]})

    def earlier_version(self, name: str) -> Version | None:
        """The earlier version that it wants to go back to from the latest one that it serves; None without."""
        way = self.earlier.get(name)
        if way is None or way.withdrawn != self.highest(name) or (name, way.successor) not in self.loads:
            return None
        return name, way.successor

    def go_back(self, version: Version) -> None:
        """It is told to serve a version and to leave newer ones."""
        name, number = version
        for newer in [each for each in self.served.get(name, ()) if each > number]:
            self.leave((name, newer))
        self.served.setdefault(name, set()).add(number)
        self.end_back(name, is_back=True)

    def leave(self, version: Version) -> None:
        """It has a version no longer."""
        self.loads.pop(version, None)
        self.refusals.pop(version, None)
        self.retried.discard(version)
        numbers = self.served.get(version[0], set())
        numbers.discard(version[1])
        if not numbers:
            self.served.pop(version[0], None)

    def begin_load(self, version: Version) -> None:
        """It loads a version. An earlier refusal counts no more."""
        name, number = version
        reasons = [self.refusals.pop((name, each), None) for each in (number, ANY_VERSION)]
        if any(reasons):
            self.retried.add(version)

    def end_load(self, version: Version, load: Load, members: Iterable["Member"]) -> None:
        """It has loaded a version. If it refused that before, others are told: they refused it because of this worker.

        They are told no sooner, since it may refuse the version again: each try costs the others a whole load.
        """
        self.loads[version] = load
        if version in self.retried:
            self.retried.discard(version)
            self._tell_new_try(version, members)

    def end(self, members: Iterable["Member"]) -> None:
        """Its process has ended. Others may have what they refused because of it."""
        for version in {*self.refusals, *self.retried}:
            self._tell_new_try(version, members)

    def forget_refusals(self, name: str) -> None:
        """It may load every version of a model now."""
        self.refusals = {version: reason for version, reason in self.refusals.items() if version[0] != name}

    def refusal(self, version: Version) -> str | None:
        """Why it does not load a version; None if it has it, or may load it."""
        if version in self.loads:
            return None
        return self.refusals.get(version) or self.refusals.get((version[0], ANY_VERSION))

    def _tell_new_try(self, version: Version, members: Iterable["Member"]) -> None:
        for member in members:
            if member is not self:
                member.tell(**{"new try": [*version]})
