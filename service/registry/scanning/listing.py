"""The versions that the last scan found in the repository, and which of them are new."""

from collections.abc import Collection, Sequence, Set

from service.settings.version_policy import VersionPolicy

_NONE: Sequence[int] = ()


class Listing:
    """Versions by model.

    Args:
        remembered_seconds: How long a version counts as new.
        policy: Which versions may be served.

    Attributes:
        policy: As given. It may be replaced.
    """

    def __init__(self, remembered_seconds: float, policy: VersionPolicy) -> None:
        self.policy = policy
        self._remembered_seconds = remembered_seconds
        self._found: Sequence[tuple[str, int]] | None = None  # None before the first scan
        self._versions: dict[str, list[int]] = {}
        self._found_at: dict[tuple[str, int], float] = {}
        self._changed: set[str] = set()

    def update(self, found: Sequence[tuple[str, int]], now: float) -> None:
        """Take the result of a scan.

        Args:
            found: (name, version) of every version in the repository, sorted.
            now: Monotonic seconds.
        """
        if found != self._found:  # of ten thousand models this takes 1 ms of the event loop, and _take 10 ms
            self._take(found, now)
        self._found_at = {key: at for key, at in self._found_at.items() if now < at + self._remembered_seconds}

    def take_changed(self) -> Collection[str]:
        """The models whose versions have changed since this was called last."""
        changed, self._changed = self._changed, set()
        return changed

    @property
    def names(self) -> Set[str]:
        """The models with at least one version."""
        return self._versions.keys()

    def of(self, name: str) -> Sequence[int]:
        """The versions of a model."""
        return self._versions.get(name, _NONE)

    def wanted(self, name: str) -> tuple[list[int], int]:
        """The versions of a model that may be served, newest first, and how many of them at most."""
        return self.policy.wanted(name, self.of(name))

    def is_new(self, name: str, version: int) -> bool:
        """Whether a version is in the repository and was first found less than `remembered_seconds` ago.

        The versions that the first scan found are not new.
        """
        return (name, version) in self._found_at and version in self.of(name)

    def _take(self, found: Sequence[tuple[str, int]], now: float) -> None:
        """Take a result that differs from the last one."""
        versions: dict[str, list[int]] = {}
        for name, version in found:
            versions.setdefault(name, []).append(version)
        before = self._versions
        changed = {name for name, numbers in versions.items() if numbers != before.get(name)}
        if self._found is not None:
            new = {(name, each) for name in changed for each in versions[name] if each not in before.get(name, ())}
            self._found_at.update((version, now) for version in new)
        self._found, self._versions = found, versions
        self._changed |= changed
