"""Where the server listens, how it speaks HTTP/2, and how connections end."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from service.settings.groups.field import seconds


class ListeningSettings(BaseModel):
    """Where the server listens, how it speaks HTTP/2, and how connections end."""

    frontend: Literal["grpcio", "envoy"] = Field(
        default="grpcio",
        description="Implementation of HTTP/2: grpcio, which runs on any platform, or envoy, which is faster.",
    )
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = Field(
        default=1, description='Processes that share the gRPC port; "auto": one for each core of the container.'
    )
    worker_cores: Literal["auto", "any"] = Field(
        default="auto",
        description=(
            'Cores on which a worker runs; "auto": one of its own, if there are as many workers as cores and no limit '
            'takes a part of these, otherwise any; "any": any.'
        ),
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    grpc_port: int = Field(default=8001, ge=0, le=65535, description="Port for gRPC; 0 takes a free one.")
    http_port: int = Field(
        default=8002,
        ge=0,
        le=65535,
        description="Plain port for /livez and /readyz; without TLS and tokens for /metrics too. 0 takes a free one.",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description=(
            "Plain port for /metrics, and for /readyz with reasons; the HTTP port then tells only health. By default "
            "--http-port, and with TLS or tokens the port after it."
        ),
    )
    compression: Literal["none", "gzip", "deflate"] = Field(
        default="none",
        description="Compression of answers, for callers that accept it. Requests may use any of these.",
    )
    keepalive_seconds: float = seconds(60.0, "Interval of keepalive pings on an idle connection; 0: never.")
    keepalive_timeout_seconds: float = seconds(
        20.0, "A connection is closed if a keepalive ping has no answer for this long.", positive=True, most=3600
    )
    max_connection_age_seconds: float = seconds(
        0.0,
        "Age at which a connection is closed, so that callers connect to other replicas too; 0: never.",
        most=86400 * 365,
    )
    max_connection_age_grace_seconds: float = seconds(
        30.0, "How long calls may continue on a connection that is closed for its age.", positive=True
    )
    grace_seconds: float = seconds(30.0, "Longest wait for accepted requests when the server stops.", most=None)
