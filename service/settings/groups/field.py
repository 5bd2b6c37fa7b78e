"""Fields that several groups have."""

from typing import Any

from pydantic import Field


def seconds(default: float, description: str, *, positive: bool = False, most: float | None = 86400) -> Any:
    """A field for a number of seconds, from 0 or above 0."""
    return Field(
        default=default,
        ge=None if positive else 0,
        gt=0 if positive else None,
        le=most,
        allow_inf_nan=False,
        description=description,
    )
