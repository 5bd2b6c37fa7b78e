"""All settings of a server as one value."""

import os
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from service.settings.groups import (
    GROUPS,
    AccessSettings,
    ListeningSettings,
    ObservingSettings,
    RepositorySettings,
    RequestSettings,
    RunningSettings,
)
from service.settings.model_table import EVERY, ModelTable
from service.settings.version_policy import VersionPolicy, parse_version_policy

# The fields of all groups, in the order of the help.
FLAGS: dict[str, FieldInfo] = {name: field for group in GROUPS.values() for name, field in group.model_fields.items()}

_NO_TABLE = ModelTable()
# Those of OpenTelemetry, where ours is not set; that for traces wins.
_TRACE_ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# The default of `max_inflight_bytes` grows with `max_message_bytes`, so that an operator can raise the latter alone.
_LEAST_INFLIGHT_BYTES = 48 * 2**20
_INFLIGHT_MESSAGES = 3
_LAST_PORT = 65535


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"KAN_{name.upper()}"


def flag(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def trace_variable() -> str | None:
    """OpenTelemetry's variable for the receiver of traces that is set; None if none is."""
    return next((name for name in _TRACE_ENDPOINT_VARIABLES if os.environ.get(name)), None)


# pydantic takes the fields of the last base first.
class Settings(
    ObservingSettings, RunningSettings, RequestSettings, AccessSettings, ListeningSettings, RepositorySettings
):
    """Every setting of a server, checked and frozen. The command line has a flag for each field.

    A field that is not given is read from the environment. pydantic-settings would do the same for 9 MB a process.

    Raises:
        pydantic.ValidationError: A value is out of range or of the wrong type. The error names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tables: dict[str, ModelTable] = Field(
        default_factory=dict, description="What single models have of their own. Only a settings file has such tables."
    )

    @property
    def incompatible_models(self) -> frozenset[str]:
        """The models that `allow_incompatible` names."""
        return frozenset(name.strip() for name in self.allow_incompatible.split(",") if name.strip())

    @property
    def version_policy(self) -> VersionPolicy:
        """The policy that `versions` and the tables of models describe."""
        texts = {name: table.versions for name, table in self.tables.items() if table.versions is not None}
        return parse_version_policy(self.versions).with_models(texts)

    def table_of(self, name: str) -> ModelTable:
        """What a model has of its own: its table over the one for all models."""
        return self.tables.get(name, _NO_TABLE).over(self.tables.get(EVERY, _NO_TABLE))

    @property
    def apart_metrics_port(self) -> int | None:
        """The port of metrics alone; None if the HTTP port has them. Two ports of 0 are two free ones."""
        return None if self.metrics_port == self.http_port != 0 else self.metrics_port

    @property
    def loads_on_call(self) -> bool:
        """Whether models in memory are bounded, so that each is loaded by its first call."""
        return self.max_loaded_models > 0 or self.max_loaded_bytes > 0

    def is_pinned(self, name: str) -> bool:
        """Whether a model stays in memory. Scans ask for thousands of models, so no table is copied."""
        own = self.tables.get(name, _NO_TABLE).pinned
        return bool(self.tables.get(EVERY, _NO_TABLE).pinned if own is None else own)

    def of_model(self, name: str) -> "Settings":
        """The settings by which a model runs."""
        own = {"max_batch_rows", "max_queue_rows", "provider"}
        return self.model_copy(update=self.table_of(name).model_dump(include=own, exclude_none=True))

    def run_terms(self, name: str) -> tuple[object, ...]:
        """What a loaded model was made for. A model must be loaded again if this changes."""
        settings = self.of_model(name)
        return (
            *(getattr(settings, each) for each in RunningSettings.model_fields),
            self.table_of(name).max_queue_bytes,
        )

    @model_validator(mode="before")
    @classmethod
    def _with_environment(cls, given: dict[str, Any]) -> dict[str, Any]:
        found = {name: os.environ[variable(name)] for name in FLAGS if variable(name) in os.environ} | given
        if "trace_endpoint" not in found:
            found["trace_endpoint"] = os.environ.get(trace_variable() or "", "")
        return found

    @model_validator(mode="after")
    def _closed_doors_tell_only_health(self) -> Self:
        """With TLS or tokens the HTTP port tells nothing of models, unless it is asked for metrics too."""
        if self.metrics_port is None and (self.tls_cert or self.tokens):
            metrics_port = self._next_port() if self.http_port else 0
            object.__setattr__(self, "metrics_port", metrics_port)  # because the model is frozen
        return self

    def _next_port(self) -> int:
        following = (self.http_port + 1, self.http_port + 2)
        port = next(port for port in following if port != self.grpc_port)
        if port > _LAST_PORT:
            raise ValueError(f"http_port is {self.http_port}, with no port after it: wanted metrics_port")
        return port

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        for name in ("http_port", "metrics_port"):
            if self.grpc_port and getattr(self, name) == self.grpc_port:
                raise ValueError(
                    f"grpc_port and {name} are both {self.grpc_port}: wanted a port for each, or 0 for a free one"
                )
        return self

    @model_validator(mode="after")
    def _workers_serve_alike(self) -> Self:
        if self.workers != 1 and self.loads_on_call:
            raise ValueError(
                f"workers is {self.workers!r}: with --max-loaded-models or --max-loaded-bytes only 1 is possible, as "
                "each worker would load and let go other models"
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
