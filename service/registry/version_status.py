"""The state of a version, and its status in the listings of both protocols."""

from dataclasses import dataclass
from enum import StrEnum

from kan_api.v1.manifest_pb2 import ModelManifest

COLD_REASON = "it is not in memory; the next call loads it"


class State(StrEnum):
    """The state of a version."""

    LOADING = "loading"
    # Known and not in memory: the next call loads it. It stays in this state during that load.
    COLD = "cold"
    READY = "ready"
    # Superseded; it still answers requests that name its number.
    LINGERING = "lingering"
    REFUSED = "refused"


# A version in one of these states is served by policy: a call for the model may get it.
SERVED = (State.READY, State.COLD)


@dataclass(frozen=True)
class VersionStatus:
    """The status of one version, for listings.

    Attributes:
        reason: Why it does not answer, or will soon stop to answer; "" for a version that answers and stays.
        latest: True for the version that answers requests without a version number.
        manifest: None until it was read and verified.
    """

    name: str
    version: int
    state: State
    reason: str
    latest: bool
    manifest: ModelManifest | None

    @property
    def answers(self) -> bool:
        """Whether requests that name this version are answered; those for a cold one, after its load."""
        return self.is_loaded or self.state is State.COLD

    @property
    def is_loaded(self) -> bool:
        """Whether the version answers and is in memory."""
        return self.state in (State.READY, State.LINGERING)
