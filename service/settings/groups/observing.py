"""What the server writes about itself."""

from typing import Literal

from pydantic import BaseModel, Field


class ObservingSettings(BaseModel):
    """What the server writes about itself."""

    access_log: str = Field(
        default="",
        description='File that gets one JSON line a request, "-" for stderr; never a payload or a token.',
    )
    trace_endpoint: str = Field(
        default="",
        description="Receiver of traces, OTLP over gRPC, such as http://127.0.0.1:4317. By default that of "
        "OTEL_EXPORTER_OTLP_ENDPOINT; without it no call is traced.",
    )
    trace_sample: float = Field(
        default=0.01,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Share of the calls without a traceparent that are traced; 0: only those whose callers ask for it.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Log lines as text, for people, or as JSON, for machines."
    )

    drift: Literal["on", "off"] = Field(
        default="on", description="Count served rows and answers by cell, for the metrics of drift."
    )
