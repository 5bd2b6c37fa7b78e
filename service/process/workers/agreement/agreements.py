"""All that the workers agree on, as the parent has it."""

from collections.abc import Callable, Sequence
from typing import Any

from service.process.workers.agreement.common_models import CommonModels
from service.process.workers.agreement.common_settings import CommonSettings
from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.member import Member
from service.process.workers.agreement.orders import Orders
from service.process.workers.agreement.versions import Versions
from service.process.workers.messages import Given
from service.settings import Settings


class Agreements:
    """The agreements on versions, settings and what is unloaded. Used on one event loop.

    Args:
        settings: The settings of the start. `grpc_port` is the shared port.
        flags: Are shared with the workers.

    Attributes:
        models: The models that callers have unloaded.
        settings: The settings in force, and how they change.
    """

    def __init__(self, settings: Settings, flags: Flags) -> None:
        self._versions = Versions(flags, settings.version_policy, polls=settings.poll_seconds > 0)
        self._orders = Orders(self._versions.members)
        self.models = CommonModels(self._orders, self._versions)
        self.settings = CommonSettings(settings, flags, self._versions, self._orders)
        self._files: dict[str, Sequence[str]] = {}

    def add(self, tell: Callable[..., None]) -> Member:
        """A worker that starts with what is in force in this turn of the event loop.

        Args:
            tell: Sends it a message.
        """
        return self._versions.add(tell)

    def given(self) -> Given:
        """What a worker starts with."""
        settings = self.settings.in_force.model_dump_json(exclude_none=True)
        return Given(settings, list(self.models.unloaded), self._files)

    def remove(self, member: Member) -> None:
        """A worker has ended."""
        self._versions.remove(member)
        self._orders.remove(member)

    def take(self, member: Member, message: dict[str, Any]) -> None:
        """A message of a worker; see `messages`."""
        match message:
            case {"did": [number, error, value]}:
                self._orders.take(member, number, error, value)
            case {"valid": [kind, content]}:
                self._files[kind] = content
            case {"ask": [number, order, name]}:
                self.models.ask(member, number, order, name)
            case _:
                self._versions.take(member, message)
