"""What `kan-serve --check-config` prints: the settings in force, as a settings file, each with its origin."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.settings.file import SettingsFile
from service.settings.model_table import EVERY, table_head
from service.settings.settings import FLAGS, Settings
from service.settings.sources import Sources
from service.settings.toml_text import quoted

_NAMES_SHOWN = 20


def describe(settings: Settings, sources: Sources, file: SettingsFile) -> str:
    """The settings in force as TOML, one a line, with the origin of each as a comment."""
    return "\n".join(_lines(settings, sources, file)) + "\n"


def absent_models(settings: Settings, file: SettingsFile) -> str:
    """A warning of tables whose models have no folder in the repository; "" if there are none.

    It begins with the place of the first table. A table that selects versions by number is left out: the search of the
    repository tells of those that are absent. Object storage is not asked.

    Args:
        settings: In force.
        file: Has the tables.
    """
    if not isinstance(settings.models, Path):
        return ""
    try:
        there = set(os.listdir(settings.models))
    except OSError:
        there = set()
    known = {*there, *settings.version_policy.selected(), EVERY}
    absent = [name for name in settings.tables if name not in known]
    if not absent:
        return ""
    heads = ", ".join(map(table_head, absent[:_NAMES_SHOWN]))
    more = f" and {len(absent) - _NAMES_SHOWN} more" if len(absent) > _NAMES_SHOWN else ""
    return f"{file.place('models', absent[0])}: {settings.models} has no model for {heads}{more}"


def _lines(settings: Settings, sources: Sources, file: SettingsFile) -> Iterator[str]:
    yield "[server]"
    origins = sources.origins(file)
    for name in FLAGS:
        value = getattr(settings, name)
        # TOML has no word for "not set".
        shown = f"# {name} is not set" if value is None else f"{name} = {_toml(value)}"
        yield f"{shown}  # {origins[name]}"
    for model, table in settings.tables.items():
        yield f"\n[models.{quoted(model)}]"
        for name, value in table.model_dump(exclude_none=True).items():
            yield f"{name} = {_toml(value)}  # {file.place('models', model, name)}"


def _toml(value: Any) -> str:
    """A number, a word or a switch as TOML writes it."""
    return quoted(str(value)) if isinstance(value, str | Path) else json.dumps(value)
