"""What differs between the settings in force and new ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.settings.groups import RunningSettings
from service.settings.model_table import ModelTable
from service.settings.settings import FLAGS, Settings

# These may change while the server runs, and so may the tables of models. All others need a restart.
LIVE = frozenset({"versions", *RunningSettings.model_fields})

_NO_TABLE = ModelTable()


@dataclass(frozen=True)
class Change:
    """A setting that differs.

    Attributes:
        name: The setting, or "[models.NAME]" and a key.
        before: Its value in force; None for a key that a table lacks.
        after: Its new value.
        is_live: Whether it may change while the server runs.
    """

    name: str
    before: Any
    after: Any
    is_live: bool

    def __str__(self) -> str:
        return f"{self.name} from {_show(self.before)} to {_show(self.after)}"


def changes(before: Settings, after: Settings) -> list[Change]:
    """Everything that differs."""
    server = (Change(name, getattr(before, name), getattr(after, name), name in LIVE) for name in FLAGS)
    return [each for each in (*server, *_of_tables(before, after)) if each.before != each.after]


def _of_tables(before: Settings, after: Settings) -> Iterator[Change]:
    for model in before.tables | after.tables:
        old, new = before.tables.get(model, _NO_TABLE), after.tables.get(model, _NO_TABLE)
        for key in ModelTable.model_fields:
            yield Change(f"[models.{model}] {key}", getattr(old, key), getattr(new, key), is_live=True)


def _show(value: Any) -> str:
    return "none" if value in (None, "") else f"{value}"
