"""The pairs of an additive model as the manifest tells them: which columns have a term of two."""

from collections.abc import Iterator, Sequence

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN
from kan_model.analysis.curve_sum import read_pairs


def pair_messages(manifest: pb.ModelManifest, kan: KAN) -> Iterator[pb.Pair]:
    """The pairs of columns of a sum of curves and pairs; none of another network. A formula of it has them too.

    Args:
        manifest: Names features and columns.
        kan: The network.
    """
    words = {column.name for column in manifest.columns if column.categories or column.HasField("statistics")}
    for pair in read_pairs(kan):
        names = [_names(inputs, manifest, words) for inputs in (pair.first, pair.second)]
        if all(len(each) == 1 for each in names):
            yield pb.Pair(first=names[0][0], second=names[1][0])


def _names(inputs: Sequence[int], manifest: pb.ModelManifest, words: set[str]) -> list[str]:
    """Of the columns that the inputs belong to: of words the column, of numbers the feature."""
    features = [manifest.features[place] for place in inputs if place < len(manifest.features)]
    return list(dict.fromkeys(each.column if each.column in words else each.name for each in features))
