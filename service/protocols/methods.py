"""The table of methods that a server answers, of all its protocols."""

from collections.abc import Mapping

from service.metrics.metrics import Metrics
from service.protocols import open_inference, prediction, reflection, triton
from service.protocols.health import SERVICE, Health
from service.registry.registry import Registry
from service.rpc import calls
from service.settings import Settings

# The services whose health is asked for like the whole server's.
SERVICES = (prediction.SERVICE, open_inference.SERVICE)


def methods(registry: Registry, health: Health, settings: Settings) -> Mapping[str, calls.Method]:
    """The methods of a server, by path."""
    return calls.table(
        [
            *prediction.methods(registry, prediction.limits_of(settings)),
            *open_inference.methods(registry, settings.max_request_rows, triton.EXTENSIONS),
            *triton.methods(registry, settings.max_request_rows),
            *health.methods(),
            *reflection.methods((*SERVICES, SERVICE)),
        ]
    )


def paths() -> list[str]:
    """The paths of every server's methods, "/package.Service/Method"."""
    settings = Settings.model_construct()  # defaults, whatever the environment says
    registry = Registry(settings, Metrics())
    return list(methods(registry, Health(registry, SERVICES), settings))
