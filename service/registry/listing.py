"""What the repository holds by the last look, and which versions came to it of late."""

from collections.abc import Collection, Iterable, Sequence

_NONE: Sequence[int] = ()


class Listing:
    """Versions by model.

    Args:
        remembered_seconds: How long a version counts as new.
    """

    def __init__(self, remembered_seconds: float) -> None:
        self._remembered_seconds = remembered_seconds
        self._versions: dict[str, list[int]] | None = None  # None before the first look
        self._came_at: dict[tuple[str, int], float] = {}

    def update(self, found: Iterable[tuple[str, int]], now: float) -> Collection[str]:
        """Take the outcome of a look at this moment; gives the models whose versions are others than before."""
        versions: dict[str, list[int]] = {}
        for name, version in found:
            versions.setdefault(name, []).append(version)
        before = {name: set(numbers) for name, numbers in (self._versions or {}).items()}
        changed = {name for name, numbers in versions.items() if set(numbers) != before.get(name)}
        if self._versions is not None:
            new = {(name, each) for name in changed for each in versions[name] if each not in before.get(name, ())}
            self._came_at.update((version, now) for version in new)
        self._came_at = {key: at for key, at in self._came_at.items() if now < at + self._remembered_seconds}
        self._versions = versions
        return changed

    @property
    def names(self) -> Collection[str]:
        """Models of which there is a version."""
        return (self._versions or {}).keys()

    def of(self, name: str) -> Sequence[int]:
        """A model's versions."""
        return (self._versions or {}).get(name, _NONE)

    def is_new(self, name: str, version: int) -> bool:
        """Whether a version that is there came since the first look, and of late."""
        return (name, version) in self._came_at and version in self.of(name)
