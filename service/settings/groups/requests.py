"""How much callers may send and how much of it the server holds at once."""

from pydantic import BaseModel, Field


class RequestSettings(BaseModel):
    """How much callers may send and how much of it the server holds at once."""

    max_request_rows: int = Field(default=4096, ge=1, le=2**20, description="Most rows in one request.")
    max_message_bytes: int = Field(
        default=16 * 2**20, ge=1024, le=2**31 - 1, description="Largest gRPC message, request or answer."
    )
    max_inflight_bytes: int = Field(
        default=0,
        ge=0,
        le=2**40,
        description="Most bytes of requests in memory at once, including partly received ones, and as many bytes of "
        "answers that callers have not read; more are refused. "
        "0: three times max_message_bytes, but at least 50331648.",
    )
    max_calls: int = Field(
        default=1024, ge=1, le=2**20, description="Most calls that are open at once; more are refused."
    )
    max_streams: int = Field(
        default=32, ge=1, le=2**20, description="Most streams of requests that are open at once; more are refused."
    )
