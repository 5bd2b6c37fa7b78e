"""What a recipe of images must have, and what does not work with it yet."""

from pydantic import BaseModel

from kan_model.vision.geometry import MOST_UNROLLED, Convolution, unrolled_coefficients
from training.recipe.fit_sections import FitSection
from training.recipe.image_sections import AugmentSection, ImageSection
from training.recipe.network_section import NetworkSection
from training.recipe.sections import DataSection, LoweringSection

# The number of input columns of each [data] source.
SOURCE_COLUMNS = {"sklearn:digits": 64, "sklearn:diabetes": 10, "toy:exp(sin(pi*x)+y^2)": 2}
# Sections on single edges of a flat network, or on several networks.
_FLAT_ONLY = (
    "ensemble",
    "calibration",
    "search",
    "sparsify",
    "prune",
    "symbolic",
    "formula",
    "attribution",
    "baseline",
)


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
            another number of columns than pixels; convolutions that do not fit the image; an equal flat network that
            is too large.
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
    encoded = [name for name in ("categories", "by_target", "dates", "unseen") if name in data.model_fields_set]
    if encoded:
        raise ValueError(f"[data] {', '.join(encoded)}: not with [image], whose columns are pixels")
    _check_pixels(data, image)
    _check_shapes(network, image)
    # One answer at the least; the table tells how many there are.
    check_unrolled(image, network, fit, answers=1)


def check_augmentation(augment: AugmentSection, image: ImageSection) -> None:
    """Refuse shifts that leave less than half of an image.

    Raises:
        ValueError: a shift of half of the height or width, or more.
    """
    least = min(image.height, image.width)
    if augment.shift >= least / 2:
        raise ValueError(f"[augment] shift = {augment.shift:g}: wanted less than {least / 2:g}, half of the image")


def check_unrolled(image: ImageSection, network: NetworkSection, fit: FitSection, *, answers: int) -> None:
    """Refuse a network whose equal flat network would be too large, before anything is built.

    Raises:
        ValueError: too many coefficients on the finest grid.
    """
    convolutions = [Convolution(**section.model_dump()) for section in network.convolutions]
    shape, levels = (image.channels, image.height, image.width), (*network.hidden, answers)
    size = unrolled_coefficients(shape, convolutions, levels, network.arity, max(fit.grids) + network.degree)
    if size > MOST_UNROLLED:
        raise ValueError(
            f"[[network.convolutions]]: the equal flat network, of which explain.onnx is made, would have {size:,} "
            f"coefficients on the finest grid; wanted at most {MOST_UNROLLED:,}: fewer channels, a larger stride, "
            'pool = "average" or coarser grids'
        )


def _check_pixels(data: DataSection, image: ImageSection) -> None:
    """Before the convolutions: a wrong height is a wrong number of columns, whatever else does not fit then."""
    pixels = image.channels * image.height * image.width
    count = len(data.columns) if data.source is None else SOURCE_COLUMNS[data.source]
    told = (
        f"[data] columns names {count} columns"
        if data.source is None
        else f'[data] source = "{data.source}" has {count} columns'
    )
    if count != pixels:
        shape = f"{image.channels} × {image.height} × {image.width}"
        raise ValueError(
            f"[image] of {shape} (channels, height, width) is {pixels} values, and {told}; wanted as many columns"
        )


def _check_shapes(network: NetworkSection, image: ImageSection) -> None:
    shape = (image.channels, image.height, image.width)
    for number, section in enumerate(network.convolutions, start=1):
        try:
            shape = Convolution(**section.model_dump()).shape_after(shape)
        except ValueError as error:
            raise ValueError(f"[[network.convolutions]] number {number}: {error}") from None
