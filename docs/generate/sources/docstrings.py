"""For mkdocstrings: names that docstrings mark up for Sphinx, as code."""

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`~?([^`]+)`")


def without_roles(text: str) -> str:
    """The text with the name alone, as code, where Sphinx would make a link."""
    return _ROLE.sub(r"`\1`", text)


class Roles(Extension):
    """Turns ``:func:`name` `` into the name as code."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Called for each module, class, function and attribute that is read."""
        if obj.docstring is not None:
            obj.docstring.value = without_roles(obj.docstring.value)
