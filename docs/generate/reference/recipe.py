"""The recipe, from the schema that checks it."""

from collections.abc import Iterator
from typing import Any

from docs.generate.sources.docstrings import without_roles
from docs.generate.text.tables import code, default, table, wanted
from training.recipe.config import Recipe

_HEAD = """# Recipe

Every section and key of a recipe, with what is accepted. [Recipes](../recipes.md) says what each does.
"""


def page() -> str:
    """A table for each section."""
    parts = [_HEAD]
    for name, section in sections():
        title, _, text = without_roles(section.get("description", "")).partition(": ")
        rows = [
            [
                code(key),
                wanted(schema),
                "required" if key in section.get("required", ()) else default(schema.get("default")),
            ]
            for key, schema in section["properties"].items()
        ]
        assert title in (f"[{name}]", f"[[{name}]]"), f"the docstring of the section {name} begins with {title!r}"
        parts.append(f"## {title}\n\n{text[:1].upper()}{text[1:]}\n\n{table(['key', 'wanted', 'default'], rows)}")
    return "\n".join(parts)


def sections() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and schema of each section, in the order of the recipe. Lists of tables are sections after their own."""
    schema = Recipe.model_json_schema()
    for name, field in schema["properties"].items():
        if name == "text":  # the file itself, no section
            continue
        references = [each["$ref"] for each in (field, *field.get("anyOf", ())) if "$ref" in each]
        section = schema["$defs"][references[0].rsplit("/", 1)[1]]
        lists = {key: each["items"]["$ref"] for key, each in section["properties"].items() if _is_of_tables(each)}
        yield name, section | {"properties": {k: v for k, v in section["properties"].items() if k not in lists}}
        for key, reference in lists.items():
            yield f"{name}.{key}", schema["$defs"][reference.rsplit("/", 1)[1]]


def _is_of_tables(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "array" and "$ref" in schema.get("items", {})
