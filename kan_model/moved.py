"""Old module names. ``kan_model.bspline`` is ``kan_model.splines.bspline`` now: the old name still works and warns.

A package calls :func:`serve_old_names` once with a table of its old modules, and its ``__getattr__`` calls
:func:`old_module`, so that ``import kan_model; kan_model.bspline`` works as well.
"""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any


def serve_old_names(moved: Mapping[str, str]) -> None:
    """Let old modules be imported; each import warns with the new name.

    Args:
        moved: Old module to new module, such as {"kan_model.bspline": "kan_model.splines.bspline"}.
    """
    # First: a folder of an old name may still hold ``__pycache__``, and Python would take it for a namespace package.
    sys.meta_path.insert(0, _OldNames(moved))


def old_module(package: str, name: str) -> ModuleType:
    """The module that was ``package.name``, for the ``__getattr__`` of a package that calls :func:`serve_old_names`.

    Raises:
        AttributeError: there never was such a module.
    """
    if any(f"{package}.{name}" in finder.moved for finder in sys.meta_path if isinstance(finder, _OldNames)):
        return importlib.import_module(f"{package}.{name}")
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def old_attribute(module: str, name: str, moved_to: str) -> Any:
    """An attribute of a module that is a package now, with a warning. For the ``__getattr__`` of that package.

    Args:
        module: The package, such as "kan_model.network".
        name: The attribute.
        moved_to: The module that holds the attribute now, such as "kan_model.network.network".

    Returns:
        The attribute of that module.

    Raises:
        AttributeError: the module never had such an attribute.
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
    """Finds old modules. An import returns the module of the new name itself, not a copy."""

    def __init__(self, moved: Mapping[str, str]) -> None:
        self.moved = moved

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname not in self.moved:
            return None
        warnings.warn(f"{fullname} is {self.moved[fullname]} now", DeprecationWarning, stacklevel=2)
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        sys.modules[name] = importlib.import_module(self.moved[name])

    def get_code(self, fullname: str) -> CodeType | None:
        """For ``python -m`` with an old name."""
        spec = importlib.util.find_spec(self.moved[fullname])
        return spec.loader.get_code(spec.name) if spec and isinstance(spec.loader, InspectLoader) else None
