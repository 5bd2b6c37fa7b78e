"""The models that a caller may use: each method that names a model in its message leases it here."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from service.errors import ModelNotFound
from service.registry.entries import quote_name
from service.registry.model.live_model import LiveModel
from service.registry.registry import Registry
from service.registry.version_status import VersionStatus
from service.rpc.calls import RequestContext


async def lease_or_wait(
    registry: Registry, call: RequestContext, name: str, version: int | None
) -> AbstractContextManager[LiveModel, None]:
    """A lease for one with block, which must be entered at once.

    Args:
        registry: Knows the models.
        call: Its caller must be allowed to use the model; its deadline bounds the wait.
        name: The model.
        version: None for the latest that is ready.

    Raises:
        Forbidden: The caller may not use the model, whether there is one or not.
        ModelNotFound, ModelNotReady: As :meth:`service.registry.entries.Entries.lease_or_wait`.
    """
    call.caller.check_model(name)
    with names_hidden(call, name):
        return await registry.lease_or_wait(name, version, call.deadline)


@contextmanager
def names_hidden(call: RequestContext, name: str) -> Iterator[None]:
    """Within it, a ModelNotFound names no other models to a caller who may not use all of them."""
    try:
        yield
    except ModelNotFound:
        if call.caller.sees_all:
            raise
        raise ModelNotFound(f"model {quote_name(name)} is unknown, or has no such version") from None


def visible_statuses(registry: Registry, call: RequestContext) -> list[VersionStatus]:
    """The versions of the models that the caller may use."""
    return [status for status in registry.statuses() if call.caller.may_use(status.name)]
