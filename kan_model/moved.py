"""Old module names. ``kan_model.bspline`` is ``kan_model.splines.bspline`` now: the old name still works and warns.

A package calls :func:`serve_old_names` once with a table of its old modules. The finder is asked first, since a folder
of an old name may still be there, with nothing but ``__pycache__`` in it, and would be found as an empty package.
"""

import importlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def serve_old_names(package: str, moved: Mapping[str, str]) -> None:
    """Let old modules of a package be imported; each import warns with the new name.

    Args:
        package: Such as "kan_model".
        moved: New module by old module, both without the package: {"bspline": "splines.bspline"}.
    """
    sys.meta_path.insert(0, _OldNames({f"{package}.{old}": f"{package}.{new}" for old, new in moved.items()}))


def old_attribute(module: str, name: str, moved_to: str) -> Any:
    """What ``module.name`` was when `module` was a file, for the ``__getattr__`` of the package that has its name now.

    Args:
        module: The package, such as "kan_model.network".
        name: The attribute.
        moved_to: The module that holds what the file held, such as "kan_model.network.network".

    Raises:
        AttributeError: It never was there.
    """
    if name.startswith("__"):
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    try:
        found = getattr(importlib.import_module(moved_to), name)
    except AttributeError:
        raise AttributeError(f"module {module!r} has no attribute {name!r}") from None
    warnings.warn(f"{module}.{name} is {moved_to}.{name} now", DeprecationWarning, stacklevel=3)
    return found


class _OldNames(MetaPathFinder, Loader):
    """Finds old modules; what is loaded is the module of the new name itself, not a copy."""

    def __init__(self, moved: Mapping[str, str]) -> None:
        self._moved = moved

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname not in self._moved:
            return None
        warnings.warn(f"{fullname} is {self._moved[fullname]} now", DeprecationWarning, stacklevel=2)
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        sys.modules[name] = importlib.import_module(self._moved[name])
