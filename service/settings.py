"""Settings of a server, from flags, from environment variables named KAN_… and from defaults, in this order."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kan_api.limits import DEFAULT_MAX_MODEL_BYTES
from service.version_policy import VersionPolicy, parse_version_policy

# The default of `max_inflight_bytes` grows with `max_message_bytes`, so that an operator can raise the latter alone.
_LEAST_INFLIGHT_BYTES = 48 * 2**20
_INFLIGHT_MESSAGES = 3


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"KAN_{name.upper()}"


def _seconds(default: float, description: str, *, positive: bool = False, most: float | None = 86400) -> Any:
    """A field for a number of seconds, from 0 or above 0."""
    return Field(
        default=default,
        ge=None if positive else 0,
        gt=0 if positive else None,
        le=most,
        allow_inf_nan=False,
        description=description,
    )


class Settings(BaseModel):
    """Every setting of a server, checked and frozen. The command line has a flag for each field.

    A field that is not given is read from the environment. pydantic-settings would do the same for 9 MB a process.

    Raises:
        pydantic.ValidationError: A value is out of range or of the wrong type. The error names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Path | str = Field(
        default=Path("models"),
        description="Folder of the model repository, or its address in object storage: s3://bucket/prefix.",
    )
    cache_folder: str = Field(
        default="",
        description="Folder that caches files from object storage; by default the user's cache folder.",
    )
    versions: str = Field(
        default="latest",
        description='Versions that are served: "latest", "latest:2" or "all"; for one model add ",digits=3".',
    )
    poll_seconds: float = _seconds(
        5.0, "Interval between searches for new versions in the repository; 0: only at the start."
    )
    max_load_seconds: float = _seconds(
        60.0,
        "Longest time to read and check a version in a folder, and again to open it and warm it up. A "
        "version that takes longer is refused.",
        positive=True,
    )
    linger_seconds: float = _seconds(
        60.0, "How long a superseded version still answers requests that name it; 0: not at all."
    )
    linger_bytes: int = Field(
        default=64 * 2**20,
        ge=0,
        le=2**50,
        description="Most memory that superseded versions may hold together; beyond it the oldest are closed.",
    )
    allow_incompatible: str = Field(
        default="",
        description="Models, separated by commas, whose new versions may have other inputs or outputs.",
    )
    allow_load: bool = Field(
        default=False,
        description="Let callers load and unload models with RepositoryModelLoad and RepositoryModelUnload.",
    )
    frontend: Literal["grpcio", "envoy"] = Field(
        default="grpcio",
        description="Implementation of HTTP/2: grpcio, which runs on any platform, or envoy, which is faster.",
    )
    access_log: str = Field(
        default="",
        description='File that gets one JSON line a call, "-" for stderr. Only with --frontend envoy.',
    )
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = Field(
        default=1, description='Processes that share the gRPC port; "auto": one for each core of the container.'
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    grpc_port: int = Field(default=8001, ge=0, le=65535, description="Port for gRPC; 0 takes a free one.")
    http_port: int = Field(
        default=8002, ge=0, le=65535, description="Port for /metrics, /livez and /readyz; 0 takes a free one."
    )
    max_batch_rows: int = Field(default=512, ge=1, le=65536, description="Most rows in one run of a model.")
    max_request_rows: int = Field(default=4096, ge=1, le=2**20, description="Most rows in one request.")
    max_queue_rows: int = Field(
        default=8192, ge=1, le=2**24, description="Most rows that may wait for a model; more are refused at once."
    )
    max_queue_delay_seconds: float = _seconds(
        0.0, "Longest wait for a batch to fill; 0: a batch never waits for more rows.", most=10
    )
    max_message_bytes: int = Field(
        default=16 * 2**20, ge=1024, le=2**31 - 1, description="Largest gRPC message, request or answer."
    )
    max_model_bytes: int = Field(
        default=DEFAULT_MAX_MODEL_BYTES,
        ge=1024,
        le=2**40,
        description="Largest size of model.onnx with its external data; loading takes five times as much memory.",
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
    compression: Literal["none", "gzip", "deflate"] = Field(
        default="none",
        description="Compression of answers, for callers that accept it. Requests may use any of these.",
    )
    keepalive_seconds: float = _seconds(60.0, "Interval of keepalive pings on an idle connection; 0: never.")
    keepalive_timeout_seconds: float = _seconds(
        20.0, "A connection is closed if a keepalive ping has no answer for this long.", positive=True, most=3600
    )
    max_connection_age_seconds: float = _seconds(
        0.0,
        "Age at which a connection is closed, so that callers connect to other replicas too; 0: never.",
        most=86400 * 365,
    )
    max_connection_age_grace_seconds: float = _seconds(
        30.0, "How long calls may continue on a connection that is closed for its age.", positive=True
    )
    grace_seconds: float = _seconds(30.0, "Longest wait for accepted requests when the server stops.", most=None)
    provider: Literal["cpu", "cuda"] = Field(default="cpu", description="Device that runs the models.")
    allow_fallback: bool = Field(default=False, description="Run on the CPU if CUDA is set but not available.")
    intra_op_threads: int = Field(default=1, ge=1, le=1024, description="Threads that one run of a model may use.")
    drift: Literal["on", "off"] = Field(
        default="on", description="Count served rows and answers by cell, for the metrics of drift."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Log lines as text, for people, or as JSON, for machines."
    )

    @model_validator(mode="before")
    @classmethod
    def _with_environment(cls, given: dict[str, Any]) -> dict[str, Any]:
        variables = {name: variable(name) for name in cls.model_fields}
        return {name: os.environ[each] for name, each in variables.items() if each in os.environ} | given

    @field_validator("models", mode="before")
    @classmethod
    def _is_an_address_or_a_folder(cls, given: Any) -> Any:
        return Path(given) if isinstance(given, str) and "://" not in given else given

    @field_validator("versions")
    @classmethod
    def _is_a_policy(cls, text: str) -> str:
        parse_version_policy(text)
        return text

    @property
    def incompatible_models(self) -> frozenset[str]:
        """The models that `allow_incompatible` names."""
        return frozenset(name.strip() for name in self.allow_incompatible.split(",") if name.strip())

    @property
    def version_policy(self) -> VersionPolicy:
        """The policy that `versions` describes."""
        return parse_version_policy(self.versions)

    @model_validator(mode="after")
    def _access_log_is_envoys(self) -> Self:
        if self.access_log and self.frontend != "envoy":
            raise ValueError(f"access_log is {self.access_log!r}, and only --frontend envoy writes one")
        return self

    @model_validator(mode="after")
    def _workers_serve_alike(self) -> Self:
        if self.workers != 1 and self.allow_load:
            raise ValueError(
                f"workers is {self.workers!r}: with --allow-load only 1 is possible, as a call reaches one"
            )
        return self

    @model_validator(mode="after")
    def _largest_message_fits(self) -> Self:
        if self.max_inflight_bytes == 0:
            inflight_bytes = max(_LEAST_INFLIGHT_BYTES, _INFLIGHT_MESSAGES * self.max_message_bytes)
            object.__setattr__(self, "max_inflight_bytes", inflight_bytes)  # because the model is frozen
        elif self.max_inflight_bytes < 2**20:
            raise ValueError(f"max_inflight_bytes is {self.max_inflight_bytes}: it should be 0, or 1048576 at least")
        if self.max_message_bytes > self.max_inflight_bytes:
            raise ValueError(
                f"max_message_bytes is {self.max_message_bytes}, more than max_inflight_bytes "
                f"({self.max_inflight_bytes}): the largest message would always be refused"
            )
        return self

    @model_validator(mode="after")
    def _largest_request_fits_queue(self) -> Self:
        if self.max_request_rows > self.max_queue_rows:
            raise ValueError(
                f"max_request_rows is {self.max_request_rows}, more than max_queue_rows ({self.max_queue_rows}): "
                "the largest request would always be refused"
            )
        return self
