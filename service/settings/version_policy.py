"""Which versions of a model are to be served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class VersionPolicy:
    """How many of the newest versions are served, with exceptions for single models.

    Example: "latest:2,digits=3" serves the two newest versions of every model, but only version 3 of digits.

    Attributes:
        newest: How many of the newest versions that load are served; None serves all.
        named: By model name, the only versions that are served of that model.
        of_models: By model name, the policy of that model in place of this one.
    """

    newest: int | None = 1
    named: Mapping[str, frozenset[int]] = field(default_factory=dict)
    of_models: Mapping[str, "VersionPolicy"] = field(default_factory=dict)

    def wanted(self, name: str, versions: Sequence[int]) -> tuple[list[int], int]:
        """The versions of a model that may be served, newest first, and how many of them at most."""
        if name in self.of_models:
            return self.of_models[name].wanted("", versions)
        descending = sorted(versions, reverse=True)
        if name in self.named:
            descending = [version for version in descending if version in self.named[name]]
            return descending, len(descending)
        return descending, len(descending) if self.newest is None else self.newest

    def selected(self) -> Mapping[str, frozenset[int]]:
        """The models of which only versions with certain numbers may be served, and those numbers."""
        own = {name: policy.named[""] for name, policy in self.of_models.items() if "" in policy.named}
        return {**{name: numbers for name, numbers in self.named.items() if name not in self.of_models}, **own}

    def with_models(self, texts: Mapping[str, str]) -> "VersionPolicy":
        """The same policy, and for some models another one, as :func:`parse_model_versions` takes it."""
        return replace(self, of_models={name: parse_model_versions(text) for name, text in texts.items()})


def parse_version_policy(text: str) -> VersionPolicy:
    """A policy from "latest", "latest:2" or "all", and after commas "digits=3" or "digits=3+4" for single models.

    Raises:
        ValueError: The text has another form; the message names the wrong part.
    """
    newest: int | None = 1
    named: dict[str, frozenset[int]] = {}
    for part in text.split(","):
        word = part.strip()
        name, equals, numbers = word.partition("=")
        if _is_newest(word):
            newest = _read_newest(word)
        elif name and equals and _are_numbers(numbers):
            named[name] = _read_numbers(numbers)
        else:
            raise ValueError(f'{word!r} is no version policy; wanted "latest", "latest:2", "all" or "NAME=3+4"')
    return VersionPolicy(newest, named)


def parse_model_versions(text: str) -> VersionPolicy:
    """The policy of a single model from "latest", "latest:2", "all", "3" or "3+4".

    Raises:
        ValueError: The text has another form.
    """
    if _is_newest(text):
        return VersionPolicy(_read_newest(text))
    if _are_numbers(text):
        return VersionPolicy(named={"": _read_numbers(text)})
    raise ValueError(f'{text!r} is no version policy; wanted "latest", "latest:2", "all", "3" or "3+4"')


def _is_newest(word: str) -> bool:
    head, _, number = word.partition(":")
    return word in ("latest", "all") or (head == "latest" and _is_number(number))


def _read_newest(word: str) -> int | None:
    return {"latest": 1, "all": None}[word] if ":" not in word else int(word.partition(":")[2])


def _are_numbers(text: str) -> bool:
    return all(map(_is_number, text.split("+")))


def _read_numbers(text: str) -> frozenset[int]:
    return frozenset(map(int, text.split("+")))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) < 10**18
