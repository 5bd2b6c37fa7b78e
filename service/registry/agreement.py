"""What the worker processes of one server agree on: the versions that answer, and what callers have unloaded."""

from collections.abc import Callable, Collection
from typing import Protocol

# The kind of a refusal because of another worker.
OTHER_WORKER = "worker"


class LoadAgain(Exception):
    """Settings have changed while a loaded version waited: it is to be loaded with the new ones."""


# Arms a version that this worker has loaded: from the moment at which the argument gives True, it is the latest one.
# None disarms it.
Arm = Callable[[Callable[[], bool] | None], None]


class Agreement(Protocol):
    """One worker's view of the agreement. Used on its event loop."""

    @property
    def unloaded(self) -> Collection[str]:
        """The models that callers had unloaded before this worker started."""

    @property
    def crash_loop(self) -> bool:
        """Whether a worker ends soon after its start, again and again. Then the server should get no requests."""

    async def load(self, name: str) -> None:
        """Load a model in every worker, and wait for it.

        Raises:
            Exception: The first error of a worker: as of a load here.
        """

    async def unload(self, name: str) -> None:
        """Stop to serve a model in every worker."""

    def loading(self, name: str, version: int) -> None:
        """Report that a load begins. An earlier refusal counts no more."""

    def on_new_try(self, act: Callable[[str, int], None]) -> None:
        """Have a function called with a version that another worker refused, once that one has loaded it or ended."""

    async def loaded(self, name: str, version: int, digest: str, arm: Arm) -> None:
        """Report a loaded version, and wait until every worker has it.

        Args:
            name: The model.
            version: Its version.
            digest: Of the bytes that were loaded.
            arm: Is called when every worker has the version. All workers begin to answer with it at one moment.

        Raises:
            ModelRefused: Another worker refused the version, or has other bytes under its number.
            LoadAgain: The settings have changed meanwhile.
        """

    def refused(self, name: str, version: int, reason: str) -> None:
        """Report that this worker cannot load the version, or not read it now."""

    def left(self, name: str, version: int) -> None:
        """Report that this worker does not answer with the version any more."""

    def withdrawn(self, name: str, version: int, successor: int, arm: Arm, end: Callable[[bool], None]) -> None:
        """Report that the latest version is withdrawn, and that this worker could go back. It goes on until all can.

        A later report for the model takes the place of this one.

        Args:
            name: The model.
            version: Its latest version.
            successor: The earlier version, which this worker has too.
            arm: Is called when all can go back to `successor`. They do so at one moment.
            end: Is called at the end: with True when all have gone back, with False if they do not now.
        """

    def stays(self, name: str, version: int) -> None:
        """Report that this worker does not want to go back from the version any more."""
