"""Why a folder holds no version: what lies in it, what belongs there, and which folder was probably meant."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from kan_api.version_folder import version_number

WANTED = "wanted a folder of model folders, each with version folders 1, 2, …"
_MODEL_FILES = frozenset({"manifest.json", "model.onnx"})
_MOST_LOOKED_AT = 1000
_MOST_SHOWN = 3


def explain_no_versions(root: Path) -> str:
    """One sentence for the operator whose repository holds no version.

    Args:
        root: The repository as given, for example ``models/digits`` in place of ``models``.
    """
    names = _names(root)
    meant = ""
    if _MODEL_FILES.intersection(names):
        meant = f"; {str(root)!r} looks like one version's folder: pass --models {_above(root, 2)}"
    elif any(version_number(name) is not None for name in names):
        meant = f"; {str(root)!r} looks like one model's folder: pass --models {_above(root, 1)}"
    else:
        names = [f"{name}/{below}" for name in names for below in islice(_names(root / name), _MOST_SHOWN)] or names
    return f"{str(root)!r} holds {_listed(names)}, {WANTED}{meant}"


def _names(folder: Path) -> list[str]:
    """Names in a folder, sorted; none for a file, or a folder that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(islice(_visible(entries), _MOST_LOOKED_AT))
    except OSError:
        return []


def _visible(entries: "Iterator[os.DirEntry[str]]") -> Iterator[str]:
    return (entry.name for entry in entries if not entry.name.startswith("."))


def _above(root: Path, levels: int) -> str:
    return os.path.normpath(root.joinpath(*[".."] * levels))


def _listed(names: list[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(repr(name) for name in names[:_MOST_SHOWN]) + more
