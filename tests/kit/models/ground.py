"""Known ground for the small models of the repository."""

from collections.abc import Callable

from kan_api.v1.manifest_pb2 import Histogram, ModelManifest


def with_ground(policy: str = "", cells: int = 1) -> Callable[[ModelManifest], None]:
    """A change of a manifest, for `write_version`: every feature has the range -1 to 3, without rows from 1 to 2.

    Args:
        policy: unknown_ground of the manifest.
        cells: Cells of the histograms between two whole numbers.
    """

    def change(manifest: ModelManifest) -> None:
        manifest.unknown_ground = policy
        for feature in manifest.features:
            edges = [-1 + place / cells for place in range(4 * cells + 1)]
            counts = [5] * 2 * cells + [0] * cells + [5] * cells
            feature.histogram.CopyFrom(Histogram(edges=edges, counts=counts))

    return change
