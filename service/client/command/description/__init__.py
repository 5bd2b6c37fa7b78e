"""What a model is, for people, from its manifest: `kan-client describe MODEL`.

`columns` tells what it wants, `facts` how good it is and where it comes from, `formula` the formula where there is one.
"""

from collections.abc import Iterator

from kan_api.v1.manifest_pb2 import ModelManifest
from service.client.command.description.columns import column_lines
from service.client.command.description.facts import fact_lines
from service.client.command.description.formula import formula_lines


def model_lines(manifest: ModelManifest) -> Iterator[str]:
    r"""The lines of the description, each with its "\n".

    Args:
        manifest: of the model.
    """
    yield from column_lines(manifest)
    yield "\n"
    yield from fact_lines(manifest)
    yield from formula_lines(manifest)
