"""What a recipe of images must have, and what does not work with it yet."""

from pydantic import BaseModel

from training.recipe.fit_sections import FitSection
from training.recipe.image_sections import ImageSection
from training.recipe.sections import DataSection, LoweringSection, NetworkSection

# Sections on single edges of a flat network, or on several networks.
_FLAT_ONLY = ("ensemble", "search", "sparsify", "prune", "symbolic", "formula", "attribution", "baseline")


def check_images(
    document: BaseModel,
    network: NetworkSection,
    fit: FitSection,
    data: DataSection,
    lowering: LoweringSection,
    image: ImageSection | None,
) -> None:
    """Refuse by name what does not fit together.

    Raises:
        ValueError: one of [image] and convolutions without the other; a section or key that is for flat networks only;
            another number of columns than pixels; convolutions that do not fit the image.
    """
    if image is None:
        raise ValueError("[[network.convolutions]]: only with [image], which says what shape the columns have")
    if not network.convolutions:
        raise ValueError("[image]: only with [[network.convolutions]]; a flat network reads columns as they are")
    if idle := [name for name in _FLAT_ONLY if getattr(document, name) is not None]:
        raise ValueError(f"[{'], ['.join(idle)}]: not with [image]; wanted a recipe without it")
    if fit.optimizer == "levenberg-marquardt":
        raise ValueError('[fit] optimizer = "levenberg-marquardt": not with [image]; wanted adam or lbfgs')
    if fit.smoothness > 0:
        raise ValueError("[fit] smoothness: not with [image]; wanted weight_decay")
    if data.missing == "indicator":
        raise ValueError('[data] missing = "indicator": not with [image], whose pixels are its only inputs')
    if lowering.precision != "float32":
        raise ValueError(f'[lowering] precision = "{lowering.precision}": not with [image]; wanted float32')
    pixels = image.channels * image.height * image.width
    if data.columns and len(data.columns) != pixels:
        raise ValueError(f"[data] has {len(data.columns)} columns and [image] {pixels} pixels; wanted as many columns")
    _check_shapes(network, image)


def _check_shapes(network: NetworkSection, image: ImageSection) -> None:
    # Imported here because it imports torch, which `kan-train init` does not need.
    from kan_model.vision.geometry import Convolution

    shape = (image.channels, image.height, image.width)
    for number, section in enumerate(network.convolutions, start=1):
        try:
            shape = Convolution(**section.model_dump()).shape_after(shape)
        except ValueError as error:
            raise ValueError(f"[[network.convolutions]] number {number}: {error}") from None
