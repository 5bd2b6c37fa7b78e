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
        serves: The versions among them that it was told to serve.
        refusals: Reasons, by version. Those of ANY_VERSION are for each version of the model that it has not loaded.
        wants_calls: Whether it has loaded all that it found, and waits for leave to listen.
        takes_calls: Whether it has that leave.
        logged: Why it has not, as it was logged last.
    """

    tell: Callable[..., None]
    settings: int = 0
    digests: dict[Version, str] = field(default_factory=dict)
    serves: set[Version] = field(default_factory=set)
    refusals: dict[Version, str] = field(default_factory=dict)
    wants_calls: bool = False
    takes_calls: bool = False
    logged: tuple[str, str, str] | None = None

    def refusal(self, version: Version) -> str | None:
        """Why it does not load a version; None if it has it, or may load it."""
        if version in self.digests:
            return None
        return self.refusals.get(version) or self.refusals.get((version[0], ANY_VERSION))
