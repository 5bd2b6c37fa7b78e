"""Variables KAN_… that nothing reads: mostly misspelt settings."""

import difflib
import os
from typing import Final

from service.settings.settings import FLAGS, variable

_PREFIX: Final = "KAN_"
# Read by kan-serve apart from its settings, by kan-client, and by the compose files; a test compares them.
_OTHERS: Final = frozenset(
    f"{_PREFIX}{name}"
    for name in (
        "CONFIG",
        *("ADDRESS", "CA", "CERT", "KEY", "TOKEN", "TOKEN_FILE"),
        *("CERTIFICATES", "EXTRA", "JWT_KEYS"),
    )
)
# Of our own processes, and of our tests.
_OUR_PREFIXES: Final = (f"{_PREFIX}SERVE_", f"{_PREFIX}TESTS_")
# Kubernetes sets NAME_SERVICE_HOST, NAME_PORT and more in each pod for each service of its namespace.
_OF_KUBERNETES: Final = "_SERVICE_HOST"
_MOST_SHOWN: Final = 5


def unknown_variables() -> str:
    """A warning of variables that look like settings and are none, each with the nearest name; "" if there are none."""
    settings = [variable(name) for name in FLAGS]
    services = tuple(name.removesuffix("SERVICE_HOST") for name in os.environ if name.endswith(_OF_KUBERNETES))
    unknown = sorted(
        name
        for name in os.environ
        if name.startswith(_PREFIX) and name.isprintable() and name not in _OTHERS.union(settings)
        if not name.startswith((*_OUR_PREFIXES, *services))
    )
    if not unknown:
        return ""
    shown = [f"{name:.80}{_hint(name, settings)}" for name in unknown[:_MOST_SHOWN]]
    more = [f"{len(unknown) - _MOST_SHOWN} more"] if len(unknown) > _MOST_SHOWN else []
    return f"environment variables that set nothing: {', '.join([*shown, *more])}"


def _hint(name: str, settings: list[str]) -> str:
    near = difflib.get_close_matches(name, settings, n=1, cutoff=0.8)
    return f" (did you mean {near[0]}?)" if near else ""
