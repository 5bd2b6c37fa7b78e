"""Known ground for the small models of the repository."""

from collections.abc import Callable

from kan_api.v1.manifest_pb2 import Histogram, ModelManifest


def with_ground(policy: str = "") -> Callable[[ModelManifest], None]:
    """A change of a manifest, for `write_version`: every feature has the range -1 to 3, without rows from 1 to 2.

    Args:
        policy: unknown_ground of the manifest.
    """

    def change(manifest: ModelManifest) -> None:
        manifest.unknown_ground = policy
        for feature in manifest.features:
            feature.histogram.CopyFrom(Histogram(edges=[-1, 0, 1, 2, 3], counts=[5, 5, 0, 5]))

    return change
