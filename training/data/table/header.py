"""The names in the first line."""

from pathlib import Path

from training.errors import DataError, quoted


def refuse_twice(path: Path | str, header: list[str]) -> None:
    """Raise DataError if two columns have one name."""
    seen: dict[str, int] = {}
    for place, name in enumerate(header, start=1):
        if name in seen and name.strip():
            raise DataError(f"{path}: columns {seen[name]} and {place} are both called {quoted(name)}")
        seen[name] = place
