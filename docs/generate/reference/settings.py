"""The settings of kan-serve, from `service.settings.Settings`."""

from docs.generate.text.tables import code, default, table, wanted
from service.settings import Settings, variable

_HEAD = """# Settings of kan-serve

Each is a flag and an environment variable; the flag wins. [Running kan-serve](../operations.md#settings) says when to
change which.
"""


def page() -> str:
    """A table of all of them."""
    properties = Settings.model_json_schema()["properties"]
    rows = [
        [
            f"{code('--' + name.replace('_', '-'))}<br>{code(variable(name))}",
            wanted(schema),
            default(schema["default"]),
            schema["description"],
        ]
        for name, schema in properties.items()
    ]
    return f"{_HEAD}\n{table(['flag, variable', 'wanted', 'default', 'what it does'], rows)}"
