"""What a version does with rows on unknown ground."""

from dataclasses import dataclass
from typing import Self

from kan_api.ground import KnownGround
from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import ModelRefused


@dataclass(frozen=True)
class GroundPolicy:
    """The known ground of a version, and its policy from the manifest.

    Attributes:
        known: None if the version has no histograms.
        flags: Whether every answer tells the unknown cells of its rows.
        refuses: Whether a request with an unknown cell is refused.
    """

    known: KnownGround | None
    flags: bool
    refuses: bool

    @classmethod
    def of(cls, manifest: ModelManifest) -> Self:
        """The policy of a version.

        Raises:
            ModelRefused: It is to refuse rows, and there are no histograms that could tell which.
        """
        policy = cls(KnownGround.of(manifest), manifest.unknown_ground == "flag", manifest.unknown_ground == "refuse")
        if policy.refuses and policy.known is None:
            raise ModelRefused(
                "manifest",
                'manifest.json has unknown_ground "refuse" and features without a histogram, which say nothing of '
                'known ground; wanted histograms, or unknown_ground "answer"',
            )
        return policy
