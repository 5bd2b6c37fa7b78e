"""The attributes that say which server sent a trace. Source: OpenTelemetry's conventions for resources."""

import logging
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from urllib.parse import unquote

_log = logging.getLogger(__name__)


def resource_attributes(environment: Mapping[str, str]) -> dict[str, str]:
    """The name, version and id of this server, and what OTEL_RESOURCE_ATTRIBUTES adds.

    OTEL_SERVICE_NAME wins over OTEL_RESOURCE_ATTRIBUTES, and both win over the defaults.
    """
    found = {
        "service.name": "kan-serve",
        "service.version": version("kan-serving"),
        "service.instance.id": str(uuid.uuid4()),
        **_given(environment.get("OTEL_RESOURCE_ATTRIBUTES", "")),
    }
    if name := environment.get("OTEL_SERVICE_NAME"):
        found["service.name"] = name
    return found


def _given(text: str) -> dict[str, str]:
    """The pairs of "key=value,key=value"; none if one of them is no pair, as the specification wants it."""
    found = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            warning = "OTEL_RESOURCE_ATTRIBUTES is ignored: it has %r; wanted KEY=VALUE,KEY=VALUE"
            _log.warning(warning, pair[:100], extra={"once": True})
            return {}
        found[unquote(key.strip())] = unquote(value.strip())
    return found
