"""The state of a version, and its status in the listings of both protocols."""

from dataclasses import dataclass
from enum import StrEnum

from kan_api.v1.manifest_pb2 import ModelManifest


class State(StrEnum):
    """The state of a version."""

    LOADING = "loading"
    READY = "ready"
    # Superseded; it still answers requests that name its number.
    LINGERING = "lingering"
    REFUSED = "refused"


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
        """Whether requests that name this version are answered."""
        return self.state in (State.READY, State.LINGERING)
