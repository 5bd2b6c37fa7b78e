"""How a server is told what to do: flags, environment variables named KAN_…, defaults."""

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kan_api.limits import DEFAULT_MAX_MODEL_BYTES
from service.version_policy import VersionPolicy, parse_version_policy

# What `max_inflight_bytes` is where nobody says it: an operator who raises `max_message_bytes` alone raises it too.
_LEAST_INFLIGHT_BYTES = 48 * 2**20
_INFLIGHT_MESSAGES = 3


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"KAN_{name.upper()}"


class Settings(BaseModel):
    """Every setting of a server, checked and frozen; the command line offers each field as a flag.

    What is not given comes from the environment (pydantic-settings would do that too, for 9 MB a process).

    Raises:
        pydantic.ValidationError: A value is out of range or of the wrong type; it names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Path | str = Field(
        default=Path("models"),
        description="Folder of the model repository, or its address in object storage: s3://bucket/prefix.",
    )
    cache_folder: str = Field(
        default="",
        description="Folder that keeps what was read from object storage; the user's cache folder where none is given.",
    )
    versions: str = Field(
        default="latest",
        description='Which versions are served: "latest", "latest:2", "all"; after commas "digits=3" for one model.',
    )
    poll_seconds: float = Field(
        default=5.0,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="How often the repository is looked at for new versions; 0: only at the start.",
    )
    max_load_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description="Longest time to read a version from a folder and check it, and as long again to open it and warm "
        "it up; then it is refused.",
    )
    linger_seconds: float = Field(
        default=60.0,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="How long a superseded version still answers callers who name it; 0: not at all.",
    )
    linger_bytes: int = Field(
        default=64 * 2**20,
        ge=0,
        le=2**50,
        description="Memory that superseded versions may hold together meanwhile; the oldest go first.",
    )
    allow_incompatible: str = Field(
        default="",
        description="Models, with commas between, whose new versions may take other inputs or answer otherwise.",
    )
    allow_load: bool = Field(default=False, description="Let callers load and unload models by RepositoryModelLoad.")
    frontend: Literal["grpcio", "envoy"] = Field(
        default="grpcio", description="Who speaks HTTP/2: grpcio, on any platform, or Envoy, the fast one."
    )
    access_log: str = Field(
        default="",
        description='File that gets one JSON line a call, "-" for stderr; Envoy\'s, so for --frontend envoy.',
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    grpc_port: int = Field(default=8001, ge=0, le=65535, description="Port for gRPC; 0 takes a free one.")
    http_port: int = Field(
        default=8002, ge=0, le=65535, description="Port for /metrics, /livez and /readyz; 0 takes a free one."
    )
    max_batch_rows: int = Field(default=512, ge=1, le=65536, description="Most rows that one run of a model takes.")
    max_request_rows: int = Field(default=4096, ge=1, le=2**20, description="Most rows that one request may bring.")
    max_queue_rows: int = Field(
        default=8192, ge=1, le=2**24, description="Most rows that may wait for a model; more are refused at once."
    )
    max_queue_delay_seconds: float = Field(
        default=0.0,
        ge=0,
        le=10,
        allow_inf_nan=False,
        description="Longest wait for a batch to fill; 0 never waits on purpose.",
    )
    max_message_bytes: int = Field(
        default=16 * 2**20, ge=1024, le=2**31 - 1, description="Largest gRPC message, either way."
    )
    max_model_bytes: int = Field(
        default=DEFAULT_MAX_MODEL_BYTES,
        ge=1024,
        le=2**40,
        description="Largest model.onnx with its external data; loading takes five times as much memory.",
    )
    max_inflight_bytes: int = Field(
        default=0,
        ge=0,
        le=2**40,
        description="Most bytes of requests that are held at once, unfinished ones too, and as many again of answers "
        "that callers have not read; more are refused. "
        "0: three of the largest messages, and 50331648 at least.",
    )
    max_calls: int = Field(
        default=1024, ge=1, le=2**20, description="Most calls that are open at once; more are refused."
    )
    max_streams: int = Field(
        default=32, ge=1, le=2**20, description="Most streams of requests that are open at once; more are refused."
    )
    compression: Literal["none", "gzip", "deflate"] = Field(
        default="none", description="How answers are compressed for callers who take it; requests may be either way."
    )
    keepalive_seconds: float = Field(
        default=60.0,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="How often a silent connection is asked whether it still lives; 0: never.",
    )
    keepalive_timeout_seconds: float = Field(
        default=20.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="How long that question may go unanswered before the connection is closed.",
    )
    max_connection_age_seconds: float = Field(
        default=0.0,
        ge=0,
        le=86400 * 365,
        allow_inf_nan=False,
        description="Age at which a connection is closed, so that callers spread anew; 0: never.",
    )
    max_connection_age_grace_seconds: float = Field(
        default=30.0,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description="How long calls of an aged connection may go on.",
    )
    grace_seconds: float = Field(
        default=30.0, ge=0, allow_inf_nan=False, description="Longest wait for accepted requests when the server stops."
    )
    provider: Literal["cpu", "cuda"] = Field(default="cpu", description="Where models run.")
    allow_fallback: bool = Field(default=False, description="Run on the CPU where CUDA is asked for and absent.")
    intra_op_threads: int = Field(default=1, ge=1, le=1024, description="Threads that one run of a model may use.")
    log_format: Literal["text", "json"] = Field(default="text", description="Log lines for people or for machines.")

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
        """What `allow_incompatible` says."""
        return frozenset(name.strip() for name in self.allow_incompatible.split(",") if name.strip())

    @property
    def version_policy(self) -> VersionPolicy:
        """What `versions` says."""
        return parse_version_policy(self.versions)

    @model_validator(mode="after")
    def _access_log_is_envoys(self) -> Self:
        if self.access_log and self.frontend != "envoy":
            raise ValueError(f"access_log is {self.access_log!r}, and only --frontend envoy writes one")
        return self

    @model_validator(mode="after")
    def _largest_message_fits(self) -> Self:
        if self.max_inflight_bytes == 0:
            inflight_bytes = max(_LEAST_INFLIGHT_BYTES, _INFLIGHT_MESSAGES * self.max_message_bytes)
            object.__setattr__(self, "max_inflight_bytes", inflight_bytes)  # frozen for everybody else
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
