"""What the parent knows of one worker that takes part in the agreement."""

from collections.abc import Callable
from dataclasses import dataclass, field

Version = tuple[str, int]
# In a refusal, in the place of a number.
ANY_VERSION = 0


@dataclass(eq=False)
class Member:
    """What is known of one worker.

    Attributes:
        tell: Sends it a message.
        settings: The number of its settings.
        digests: Of the versions that it has loaded.
        served: The numbers among them that it was told to serve, by model.
        earlier: By model, the version that is withdrawn and the earlier one that it wants to go back to.
        refusals: Reasons, by version. Those of ANY_VERSION are for each version of the model that it has not loaded.
        wants_calls: Whether it has loaded all that it found, and waits for leave to listen.
        takes_calls: Whether it has that leave.
        apart: The models of which it serves another version than the latest one; see `latest`.
        logged: One of them, as it was logged last.
        apart_as_logged: The most that they have been since then.
    """

    tell: Callable[..., None]
    settings: int = 0
    digests: dict[Version, str] = field(default_factory=dict)
    served: dict[str, set[int]] = field(default_factory=dict)
    earlier: dict[str, tuple[int, int]] = field(default_factory=dict)
    refusals: dict[Version, str] = field(default_factory=dict)
    wants_calls: bool = False
    takes_calls: bool = False
    apart: set[str] = field(default_factory=set)
    logged: tuple[str, str, str] | None = None
    apart_as_logged: int = 0

    def serves(self, version: Version) -> bool:
        """Whether it was told to serve a version."""
        return version[1] in self.served.get(version[0], ())

    def waits_with(self, version: Version) -> bool:
        """Whether it has loaded a version, and was not told to serve it."""
        return version in self.digests and not self.serves(version)

    def highest(self, name: str) -> int:
        """The latest version of a model that it serves; 0 for none."""
        return max(self.served.get(name, ()), default=0)

    def serve(self, version: Version) -> None:
        """It is told to serve a version."""
        self.served.setdefault(version[0], set()).add(version[1])
        self.tell(serve=list(version))

    def wish(self, name: str) -> Version | None:
        """The earlier version that it wants to go back to from the latest one that it serves; None without."""
        withdrawn, successor = self.earlier.get(name, (0, 0))
        is_ready = withdrawn == self.highest(name) and (name, successor) in self.digests
        return (name, successor) if withdrawn and is_ready else None

    def go_back(self, version: Version, place: int) -> None:
        """It is told to serve the version of a flag and to leave newer ones."""
        name, number = version
        self.earlier.pop(name, None)
        for newer in [each for each in self.served.get(name, ()) if each > number]:
            self.leave((name, newer))
        self.served.setdefault(name, set()).add(number)
        self.tell(**{"end back": [name, place, True]})

    def leave(self, version: Version) -> None:
        """It has a version no longer."""
        self.digests.pop(version, None)
        self.refusals.pop(version, None)
        numbers = self.served.get(version[0], set())
        numbers.discard(version[1])
        if not numbers:
            self.served.pop(version[0], None)

    def forget_refusals(self, name: str) -> None:
        """It may load every version of a model now."""
        self.refusals = {version: reason for version, reason in self.refusals.items() if version[0] != name}

    def refusal(self, version: Version) -> str | None:
        """Why it does not load a version; None if it has it, or may load it."""
        if version in self.digests:
            return None
        return self.refusals.get(version) or self.refusals.get((version[0], ANY_VERSION))
