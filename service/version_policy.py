"""Which versions of a model are to be served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class VersionPolicy:
    """How many of the newest versions are served, with exceptions for single models.

    Example: "latest:2,digits=3" serves the two newest versions of every model, but only version 3 of digits.

    Attributes:
        newest: How many of the newest versions that load are served; None serves all.
        named: By model name, the only versions that are served of that model.
    """

    newest: int | None = 1
    named: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def wanted(self, name: str, versions: Sequence[int]) -> tuple[list[int], int]:
        """The versions of a model that may be served, newest first, and how many of them at most."""
        descending = sorted(versions, reverse=True)
        if name in self.named:
            descending = [version for version in descending if version in self.named[name]]
            return descending, len(descending)
        return descending, len(descending) if self.newest is None else self.newest


def parse_version_policy(text: str) -> VersionPolicy:
    """A policy from "latest", "latest:2" or "all", and after commas "digits=3" or "digits=3+4" for single models.

    Raises:
        ValueError: The text has another form; the message names the wrong part.
    """
    newest: int | None = 1
    named: dict[str, frozenset[int]] = {}
    for part in text.split(","):
        word = part.strip()
        head, _, number = word.partition(":")
        name, equals, numbers = word.partition("=")
        if word in ("latest", "all"):
            newest = 1 if word == "latest" else None
        elif head == "latest" and _is_number(number):
            newest = int(number)
        elif name and equals and all(map(_is_number, numbers.split("+"))):
            named[name] = frozenset(map(int, numbers.split("+")))
        else:
            raise ValueError(f'{word!r} is no version policy; wanted "latest", "latest:2", "all" or "NAME=3+4"')
    return VersionPolicy(newest, named)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) < 10**18
