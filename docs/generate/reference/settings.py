"""The settings of kan-serve, from `service.settings.groups`."""

from pydantic import BaseModel

from docs.generate.text.tables import code, default, table, wanted
from service.settings import ModelTable, flag, variable
from service.settings.groups import GROUPS

_HEAD = """# Settings of kan-serve

Each is a flag, an environment variable and a key in the table [server] of the settings file: `--grpc-port`,
`KAN_GRPC_PORT`, `grpc_port`. The flag wins over the variable, and the variable over the file.
[Running kan-serve](../operations.md#settings) says when to change which.
"""
_OF_MODELS = """## Of single models

Keys of a table `[models.NAME]` in [the settings file](../operations.md#the-settings-file).
"""


def page() -> str:
    """A table of each group, and one of what a model may have of its own."""
    groups = [f"## {title.capitalize()}\n\n{_table(group)}" for title, group in GROUPS.items()]
    return "\n".join([_HEAD, *groups, _OF_MODELS, _model_table()])


def _model_table() -> str:
    properties = ModelTable.model_json_schema()["properties"]
    rows = [[code(name), wanted(schema), schema["description"]] for name, schema in properties.items()]
    return table(["key", "wanted", "what it does"], rows)


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
