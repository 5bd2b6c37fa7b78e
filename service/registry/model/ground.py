"""What a version does with rows on unknown ground."""

from dataclasses import dataclass, replace
from typing import Self

from kan_api.ground import KnownGround
from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import ModelRefused


@dataclass(frozen=True)
class GroundPolicy:
    """The known ground of a version, and its policy from the settings or the manifest.

    Attributes:
        known: None if the version has no histograms.
        word: The policy in force, as the manifest would have it.
        flags: Whether every answer tells the unknown cells of its rows.
        refuses: Whether a request with an unknown cell is refused.
    """

    known: KnownGround | None
    word: str
    flags: bool
    refuses: bool

    @classmethod
    def of(cls, manifest: ModelManifest, own: str | None = None) -> Self:
        """The policy of a version.

        Args:
            manifest: Of the version.
            own: The policy of the model's table in the settings; None leaves it to the manifest.

        Raises:
            ModelRefused: It is to refuse rows, and there are no histograms that could tell which.
        """
        return cls(KnownGround.of(manifest), "", flags=False, refuses=False).under(manifest, own)

    def under(self, manifest: ModelManifest, own: str | None) -> Self:
        """The same ground under a policy; arguments and errors as those of `of`."""
        word = own or manifest.unknown_ground
        if word == "refuse" and self.known is None:
            raise ModelRefused(
                "manifest",
                f'{"the settings have" if own else "manifest.json has"} unknown_ground "refuse", and the manifest has '
                "features without a histogram, which say nothing of known ground; wanted histograms, or "
                'unknown_ground "answer"',
            )
        return replace(self, word=word, flags=word == "flag", refuses=word == "refuse")
