"""The graphs of a network, of one on images too."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering import Lowered, lower
from kan_model.lowering.emit.precision import Precision
from kan_model.lowering.images import lower_image
from kan_model.network.transform import InputTransform, Intervals, OutputTransform
from kan_model.vision.image_kan import ImageKAN


def lower_either(
    image: ImageKAN | None,
    flat: KAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    tolerance: float,
    tune_for: Sequence[int],
    precision: Precision,
    training_rows: NDArray[np.float32] | None,
    scale: NDArray[np.float64] | None,
    intervals: Intervals | None = None,
) -> Lowered:
    """The graph of a network; of one on images it stands beside the edges of the equal flat network.

    Args:
        image: The network on images; None: the flat network is all there is.
        flat: The network, or the flat one that equals ``image``.
        inputs: As for :func:`kan_model.lowering.lower`, as all further arguments.
        outputs: As there.
        tolerance: As there.
        tune_for: As there.
        precision: As there; float32 for images.
        training_rows: As there.
        scale: As there.
        intervals: As there; of images there are none.

    Raises:
        LoweringError: as there.
    """
    if image is None:
        return lower(
            flat,
            inputs=inputs,
            outputs=outputs,
            tolerance=tolerance,
            tune_for=tune_for,
            precision=precision,
            training_rows=training_rows,
            scale=scale,
            intervals=intervals,
        )
    found = lower_image(
        image,
        inputs=inputs,
        outputs=outputs,
        tolerance=tolerance,
        tune_for=tune_for,
        training_rows=training_rows,
        scale=scale,
    )
    # The flat graph is not served, so its strategies are not timed.
    explained = lower(
        flat,
        inputs=inputs,
        outputs=outputs,
        tolerance=tolerance,
        tune_for=(),
        training_rows=training_rows,
        scale=scale,
    ).explained
    return Lowered(found.model, explained, found.report, found.preferred_rows)
