"""The settings of all workers: they change in all of them, or in none.

prepare in all ─▶ one cannot: drop in all, nothing has changed
               └▶ all can: arm versions that take over ─▶ one flag is set ─▶ adopt in all
"""

import logging
from collections.abc import Mapping, Sequence

from service.errors import SettingsError
from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.orders import Orders, Outcome
from service.process.workers.agreement.versions import Versions
from service.settings import Settings

_log = logging.getLogger(__name__)


class CommonSettings:
    """The settings in force. Used on one event loop, for one change at a time.

    Args:
        settings: The settings of the start. `grpc_port` is the shared port.
        flags: Get one flag a change.
        versions: Wait during a change, and take the version policy.
        orders: Reach the workers.

    Attributes:
        in_force: The settings with which a new worker starts.
    """

    def __init__(self, settings: Settings, flags: Flags, versions: Versions, orders: Orders) -> None:
        self.in_force = settings
        self._flags = flags
        self._versions = versions
        self._orders = orders

    async def adopt(self, settings: Settings) -> None:
        """Put settings in force in every worker.

        If no worker takes calls, nobody tries them first: workers start with them.

        Raises:
            SettingsError: A worker cannot take them. Nothing has changed.
        """
        settings = settings.model_copy(update={"grpc_port": self.in_force.grpc_port})
        text = settings.model_dump_json(exclude_none=True)
        number = self._versions.settings + 1
        try:
            await self._versions.hold()
            successors = await self._prepare(number, text)
            # No wait until the orders are sent: every worker answers with the successors from now on.
            self._versions.change(number, settings.version_policy, successors)
            self.in_force = settings
            for outcome in await self._orders.give("adopt", number, text, successors):
                if outcome.error is not None:
                    _log.error("a worker could not take settings that it had prepared: %s", outcome.error)
        finally:
            self._versions.release()

    async def _prepare(self, number: int, text: str) -> Mapping[str, int]:
        """Have every worker make ready. Gives the versions that have taken over."""
        is_tried = any(member.takes_calls for member in self._versions.members)
        try:
            outcomes = await self._orders.give("prepare", number, text)
            if successors := _common_successors(outcomes, is_tried=is_tried):
                flag = self._flags.new()
                await self._orders.give("arm", flag, successors)
                self._flags.set(flag)
        except SettingsError:
            await self._orders.give("drop")
            raise
        return successors


def _common_successors(outcomes: Sequence[Outcome], *, is_tried: bool) -> Mapping[str, int]:
    """The versions that take over and that all workers have.

    Raises:
        SettingsError: A worker cannot take the settings.
    """
    if refused := [outcome.error for outcome in outcomes if outcome.error is not None]:
        raise refused[0] if isinstance(refused[0], SettingsError) else SettingsError([str(refused[0])])
    if is_tried and not outcomes:
        raise SettingsError(["every worker that tried them has ended or is stopping"])
    first, *others = [outcome.value for outcome in outcomes] or [{}]
    return {name: version for name, version in first.items() if all(each.get(name) == version for each in others)}
