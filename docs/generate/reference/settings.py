"""The settings of kan-serve, from `service.settings.groups`."""

from pydantic import BaseModel

from docs.generate.text.tables import code, default, table, wanted
from service.settings import flag, variable
from service.settings.groups import GROUPS

_HEAD = """# Settings of kan-serve

Each is a flag and an environment variable; the flag wins. [Running kan-serve](../operations.md#settings) says when to
change which.
"""


def page() -> str:
    """A table of each group."""
    return "\n".join([_HEAD, *(f"## {title.capitalize()}\n\n{_table(group)}" for title, group in GROUPS.items())])


def _table(group: type[BaseModel]) -> str:
    rows = [
        [
            f"{code(flag(name))}<br>{code(variable(name))}",
            wanted(schema),
            default(schema["default"]),
            schema["description"],
        ]
        for name, schema in group.model_json_schema()["properties"].items()
    ]
    return table(["flag, variable", "wanted", "default", "what it does"], rows)
