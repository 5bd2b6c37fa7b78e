"""The chart's values.schema.json: what Helm refuses before it asks a cluster.

Run as ``python deploy/kubernetes/helm/schema.py`` to write it, with ``--check`` to see whether it is in step.
"""

import json
import sys
from pathlib import Path
from typing import Any

from deploy.generated import write_or_check
from service.settings import FLAGS, Settings, variable

_FILE = Path(__file__).with_name("values.schema.json")

# The templates make these of other values, or count on their defaults.
MADE = {
    *("models", "cache_folder", "frontend", "provider", "host", "grpc_port", "http_port", "metrics_port"),
    *("tls_cert", "tls_key", "tls_client_ca", "tokens", "workers"),
}

Schema = dict[str, Any]

_BOOLEAN: Schema = {"type": "boolean"}
_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
# Of a secret, or "" for none.
_SECRET: Schema = {**_NAME, "pattern": "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"}
_QUANTITY: Schema = {"type": ["string", "number"], "pattern": "^[0-9]+(\\.[0-9]+)?([kMGTPE]i?|m)?$"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_QUANTITIES: Schema = {"type": "object", "additionalProperties": _QUANTITY}
# A number, or a share such as 25%.
_PODS: Schema = {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+%$"}


def _object(**properties: Schema) -> Schema:
    """All of these and no others. Helm fills in the chart's own values first: only what null takes away is missing."""
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def _integer(minimum: int, maximum: int | None = None) -> Schema:
    bounds = {"minimum": minimum} if maximum is None else {"minimum": minimum, "maximum": maximum}
    return {"type": "integer", **bounds}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def settings() -> Schema:
    """Every setting of a server by its variable's name, with the types, bounds and words of the code."""
    fields: dict[str, Schema] = Settings.model_json_schema()["properties"]
    names = [name for name in FLAGS if name not in MADE]
    plain = {variable(name): {key: value for key, value in fields[name].items() if key != "title"} for name in names}
    return {"type": "object", "additionalProperties": False, "properties": plain}


def schema() -> Schema:
    """All of it."""
    values = _object(
        image=_object(
            repository={"type": "string", "minLength": 1},
            tag=_TEXT,
            pullPolicy={"enum": ["", "Always", "IfNotPresent", "Never"]},
            pullSecrets=_list(_object(name=_NAME)),
        ),
        replicas=_integer(0),
        models=_object(
            address={"type": "string", "pattern": "^$|^[a-z][a-z0-9+.-]*://."},
            cache=_QUANTITY,
            claim=_object(name=_NAME, create=_BOOLEAN, volume=_NAME, size=_QUANTITY),
        ),
        gpu=_object(count=_integer(0), resource={"type": "string", "pattern": "^[^/]+/[^/]+$"}),
        frontend={"enum": Settings.model_json_schema()["properties"]["frontend"]["enum"]},
        workers=_integer(1, 256),
        tls=_object(secret=_SECRET, clientCa=_BOOLEAN),
        tokens=_object(secret=_SECRET),
        settings=settings(),
        settingsFile=_TEXT,
        envFrom=_list({"type": "object"}),
        resources=_object(requests=_QUANTITIES, limits=_QUANTITIES),
        autoscaling=_object(
            enabled=_BOOLEAN,
            minReplicas=_integer(1),
            maxReplicas=_integer(1),
            queueRows=_integer(0),
            cpu=_integer(1),
        ),
        rollingUpdate=_object(maxUnavailable=_PODS, maxSurge=_PODS),
        serviceAccount=_object(annotations=_TEXTS),
        podAnnotations=_TEXTS,
        nodeSelector=_TEXTS,
        tolerations=_list({"type": "object"}),
        networkPolicy=_object(enabled=_BOOLEAN, monitoring=_NAME, egress=_list({"type": "object"})),
        monitoring=_object(
            enabled=_BOOLEAN,
            labels=_TEXTS,
            interval={"type": "string", "pattern": "^[0-9]+(ms|s|m)$"},
            rules=_BOOLEAN,
        ),
        gateway=_object(enabled=_BOOLEAN, name=_NAME, namespace=_NAME, hostnames=_list(_TEXT)),
    )
    # Helm puts it there for a chart that is part of another one.
    values["properties"]["global"] = {"type": "object"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **values}


def files() -> dict[Path, str]:
    """The file that is made, by its path."""
    return {_FILE: json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"}


if __name__ == "__main__":
    sys.exit(write_or_check(files, __doc__))
