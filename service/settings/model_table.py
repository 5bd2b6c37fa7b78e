"""The settings of one model: a table [models.NAME] of the settings file."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.settings.version_policy import parse_model_versions

# The table for all models. A model's own table wins, key by key.
EVERY = "*"


class ModelTable(BaseModel):
    """What one model has of its own. None stands for what holds for all models.

    The keys of `max_batch_rows`, `max_queue_rows`, `provider` and `versions` are also settings of the server. A model's
    table wins over these, also if a flag gives them, because it is more specific.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_batch_rows: int | None = Field(default=None, ge=1, le=65536, description="Most rows in one run of the model.")
    max_queue_rows: int | None = Field(
        default=None,
        ge=1,
        le=2**24,
        description="Most rows that may wait for the model. A request may have at most as many rows.",
    )
    max_queue_bytes: int | None = Field(
        default=None,
        ge=1,
        le=2**40,
        description="Most bytes of rows that may wait for the model, 4 for each number; at least one row may wait.",
    )
    max_deadline_seconds: float | None = Field(
        default=None,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description="Longest time that a request may take. A later deadline is cut to it, and a call without a "
        "deadline gets it.",
    )
    priority: int | None = Field(
        default=None,
        ge=-100,
        le=100,
        description="While rows of a model with a higher priority wait or run, a batch of this model waits, at most "
        "0.05 s. Models have 0.",
    )
    quota_rows_per_second: float | None = Field(
        default=None,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        description="Most rows a second, on average, that callers may have computed; a burst may have the rows of one "
        "second. More are refused.",
    )
    provider: Literal["cpu", "cuda"] | None = Field(default=None, description="Device that runs the model.")
    versions: str | None = Field(
        default=None, description='Versions that are served: "latest", "latest:2", "all", "3" or "3+4".'
    )
    pinned: bool | None = Field(
        default=None,
        description="Load the model at the start and keep it in memory, whatever max_loaded_models and "
        "max_loaded_bytes are.",
    )
    unknown_ground: Literal["answer", "flag", "refuse"] | None = Field(
        default=None, description="What happens to rows on unknown ground, in place of what the manifest says."
    )

    @field_validator("versions")
    @classmethod
    def _is_a_policy(cls, text: str | None) -> str | None:
        if text is not None:
            parse_model_versions(text)
        return text

    def over(self, other: "ModelTable") -> "ModelTable":
        """A table with the keys of this one, and of another table those that this one lacks."""
        return other.model_copy(update=self.model_dump(exclude_none=True))


def table_head(name: str) -> str:
    """The head of a model's table, for messages: on one line, and short."""
    return f"[models.{name:.80}]" if re.fullmatch(r"[\w-]+", name, re.ASCII) else f"[models.{name!r:.80}]"
