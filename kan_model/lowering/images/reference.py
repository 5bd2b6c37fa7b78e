"""Compare a graph with an image network in float64, without a flat network: for large images and max pooling."""

import copy

import numpy as np
import onnx
import torch

from kan_model.lowering.checks.reference import Comparison
from kan_model.lowering.checks.regions import FAR, INSIDE, Rows32, Values64, rows_by_region
from kan_model.lowering.checks.scale import scale_of_errors
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.transform import Exponential, InputTransform, OutputTransform
from kan_model.onnx_runtime import open_session
from kan_model.vision.image_kan import ImageKAN


class ImageReference:
    """Rows of all kinds but those far outside, and the network's float64 answers to them.

    Attributes:
        scale: ``[outputs]``, the divisor of errors.
    """

    def __init__(
        self,
        image: ImageKAN,
        inputs: InputTransform | None,
        outputs: OutputTransform | None,
        *,
        training_rows: Rows32 | None,
        scale: Values64 | None,
        rows_per_region: int,
    ) -> None:
        """Compute all answers once. Arguments as for :class:`kan_model.lowering.checks.reference.Reference`."""
        exact = copy.deepcopy(image).double()
        regions = rows_by_region(_first_layer_alone(image).double(), inputs, training_rows, rows_per_region)
        self._regions = {name: rows for name, rows in regions.items() if name != FAR}
        self._wanted = {name: _answers(exact, inputs, outputs, rows) for name, rows in self._regions.items()}
        logarithm = outputs.logarithm if isinstance(outputs, Exponential) else outputs
        self.scale = scale_of_errors(logarithm, next(iter(self._wanted.values()))) if scale is None else scale

    def compare(self, model: onnx.ModelProto, *, block_rows: int = 256) -> Comparison:
        """Run the model and find its largest errors; outside the domain they may be relative to the answer."""
        session = open_session(model)
        abs_error, worst, where, count = 0.0, 0.0, "nowhere", 0
        for region, rows in self._regions.items():
            count += len(rows)
            parts = [session.run(rows[start : start + block_rows])[0] for start in range(0, len(rows), block_rows)]
            got, wanted = np.concatenate(parts), self._wanted[region]
            if np.any(np.isnan(got) != np.isnan(wanted)):
                return Comparison(np.inf, np.inf, f"{region}: NaN on one side only", count)
            error = np.nan_to_num(np.abs(got - wanted), nan=0.0, posinf=np.inf)
            is_outside = region.startswith("outside")
            size = np.maximum(self.scale, np.nan_to_num(np.abs(wanted))) if is_outside else self.scale
            relative = float((error / size).max())
            if not is_outside:
                abs_error = max(abs_error, float(error.max()))
            if relative > worst:
                worst, where = relative, region
        return Comparison(abs_error, worst, where, count)

    def rows_inside(self, count: int) -> Rows32:
        """Raw rows inside the domain, ``[count, features]``."""
        rows = self._regions[INSIDE]
        return np.resize(rows, (count, rows.shape[1]))


def _answers(image: ImageKAN, inputs: InputTransform | None, outputs: OutputTransform | None, rows: Rows32) -> Values64:
    with torch.no_grad():
        x = torch.from_numpy(rows).double()
        y = image(x if inputs is None else inputs(x))
        result: Values64 = (y if outputs is None else outputs(y)).numpy()
    return result


def _first_layer_alone(image: ImageKAN) -> KAN:
    """A flat layer with the grid of each feature, and nothing else: it tells where its knots are."""
    edges, (_, height, width) = image.convolutions[0].edges, image.shape
    knots = edges.all_knots().detach().repeat_interleave(height * width, dim=0)
    empty = knots.new_zeros(1, len(knots), edges.coefficients.shape[2])
    return KAN.of_layers([KANLayer(empty[..., 0], empty, degree=edges.degree, outside=edges.outside, knots=knots)])
