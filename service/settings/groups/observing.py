"""What the server writes about itself."""

from typing import Literal

from pydantic import BaseModel, Field


class ObservingSettings(BaseModel):
    """What the server writes about itself."""

    access_log: str = Field(
        default="",
        description='File that gets one JSON line a request, "-" for stderr; never a payload or a token.',
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Log lines as text, for people, or as JSON, for machines."
    )

    drift: Literal["on", "off"] = Field(
        default="on", description="Count served rows and answers by cell, for the metrics of drift."
    )
