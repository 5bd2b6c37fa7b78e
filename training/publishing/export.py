"""From a network to the files of a version: verified graphs, and the network itself."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN
from kan_model.lowering import Lowered, LoweringError, explain_exactly
from kan_model.lowering.emit.precision import Precision
from kan_model.monotone.promise import settled
from kan_model.network import checkpoint
from kan_model.network.transform import InputTransform, Intervals, OutputTransform
from kan_model.onnx_runtime import VERSION as ONNXRUNTIME_VERSION
from kan_model.vision import checkpoint as image_checkpoint
from kan_model.vision.image_kan import ImageKAN
from training.explaining import NAME as ATTRIBUTION
from training.explaining import ReferenceRow, VerifiedAttribution, verified_attribution
from training.publishing.images import lower_either
from training.publishing.message.explanation import explanation as explanation
from training.publishing.publish import Files
from training.publishing.verify import ExplanationDiffers, Verification, VerificationFailed, verify
from training.threads import torch_threads

MODEL, EXPLAIN, NETWORK = "model.onnx", "explain.onnx", "network.safetensors"
_EXPLAINED_ROWS = 64
# Contributions add up to the answer minus the baseline within this share of the larger of the output's range and the
# sum of the contributions' sizes, plus two float32 spacings of the answer or baseline; a recipe may allow more.
_ATTRIBUTION_TOLERANCE = 1e-5
# The lowering checks fewer rows than the verification. If a graph passes the first and fails the second, the lowering
# is repeated with these shares of the tolerance.
_SHARES = (1.0, 1 / 2, 1 / 4, 1 / 8)


@dataclass(frozen=True)
class Trained:
    """A network with the transforms of its inputs and outputs; None: there is none.

    Of a network on images ``kan`` is the equal flat network. With ``intervals`` each answer has bounds.
    """

    kan: KAN
    inputs: InputTransform | None
    outputs: OutputTransform | None
    image: ImageKAN | None = None
    intervals: Intervals | None = None


@dataclass(frozen=True)
class Plan:
    """How to export.

    Attributes:
        tolerance: Bound on the error against float64.
        tune_for: Batch sizes, in rows, for which strategies are timed; empty: nothing is timed.
        precision: Number format of each layer's largest product.
    """

    tolerance: float
    tune_for: Sequence[int]
    precision: Precision


@dataclass(frozen=True)
class Exported:
    """Graphs that passed the verification.

    Attributes:
        trained: The network that the graphs compute.
        plan: The plan of the export.
        lowered: The graphs.
        verification: The errors of the graphs against float64.
        attribution: The graph of contributions; None: there is none.
    """

    trained: Trained
    plan: Plan
    lowered: Lowered
    verification: Verification
    attribution: VerifiedAttribution | None = None


@torch_threads(1)  # Torch's idle threads spin for a while after each operation and would disturb the timing.
def export(
    trained: Trained,
    plan: Plan,
    *,
    training_rows: NDArray[np.float32] | None = None,
    scale: NDArray[np.float64] | None = None,
    reference: ReferenceRow | None = None,
) -> Exported:
    """Lower a network and verify the graphs.

    Args:
        trained: The network.
        plan: How to export.
        training_rows: ``[rows, features]``, raw, NaN for a gap; None: the rows are not available.
        scale: ``[outputs]``, the divisor of errors; needed without ``training_rows``.
        reference: The row that contributions compare with; None: no graph of contributions is made.

    Raises:
        VerificationFailed: no graph is within the tolerance. The message is about the first graph tried.
    """
    exported = _export_lowered(trained, plan, training_rows, scale)
    return exported if reference is None else _with_attribution(exported, reference, training_rows)


def _export_lowered(
    trained: Trained, plan: Plan, training_rows: NDArray[np.float32] | None, scale: NDArray[np.float64] | None
) -> Exported:
    refused: VerificationFailed | None = None
    for share in _SHARES:
        try:
            return _export_within(share * plan.tolerance, trained, plan, training_rows, scale)
        except LoweringError as error:
            # An earlier refusal is raised instead: it tells the error of a graph that was found.
            raise (refused or VerificationFailed(str(error))) from None
        except VerificationFailed as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _export_within(
    wanted: float,
    trained: Trained,
    plan: Plan,
    training_rows: NDArray[np.float32] | None,
    scale: NDArray[np.float64] | None,
) -> Exported:
    """Lower with the tolerance ``wanted``, then verify with the plan's tolerance."""
    kan, inputs, outputs = trained.kan, trained.inputs, trained.outputs
    bounds = trained.intervals
    lowered = lower_either(
        trained.image, kan, inputs, outputs, wanted, plan.tune_for, plan.precision, training_rows, scale, bounds
    )

    def verified(explained: onnx.ModelProto) -> Exported:
        verification = verify(
            lowered.model,
            kan,
            inputs,
            outputs,
            training_rows,
            plan.tolerance,
            explained=explained,
            explained_rows=min(_EXPLAINED_ROWS, explanation(kan).max_rows),
            scale=scale,
            intervals=bounds,
        )
        return Exported(trained, plan, replace(lowered, explained=explained), verification)

    try:
        return verified(lowered.explained)
    except ExplanationDiffers:  # The graph that answers is exact enough; it stays, and is as fast as before.
        return verified(explain_exactly(kan, inputs, outputs))


def _with_attribution(
    exported: Exported, reference: ReferenceRow, training_rows: NDArray[np.float32] | None
) -> Exported:
    """Add the graph of contributions, which is not published if its error is too large."""
    trained = exported.trained
    wanted = _ATTRIBUTION_TOLERANCE
    made = verified_attribution(trained.kan, trained.inputs, trained.outputs, reference, training_rows, wanted)
    tolerance = max(wanted, exported.plan.tolerance)
    if not made.max_relative_error <= tolerance:
        raise VerificationFailed(
            f"{ATTRIBUTION} differs from float64 by {made.max_relative_error:.2g} of the range; wanted {tolerance:g} "
            "or less"
        )
    return replace(exported, attribution=made)


def files(exported: Exported, manifest: pb.ModelManifest, others: Mapping[str, bytes]) -> Files:
    """The version's files: the graphs, with model and version in their metadata_props; the network; the others."""
    lowered, trained = exported.lowered, exported.trained
    metadata = {
        "model": manifest.name,
        "degree": ",".join(str(layer.degree) for layer in trained.kan.layers),
        "grid_size": ",".join(str(layer.grid_size) for layer in trained.kan.layers),
        "library_version": manifest.library_version,
    }
    network = network_bytes(trained)

    def of_version(version: int) -> Mapping[str, bytes]:
        props = metadata | {"version": str(version)}
        graphs = {MODEL: lowered.model, EXPLAIN: lowered.explained}
        if exported.attribution is not None:
            graphs[ATTRIBUTION] = exported.attribution.model
        return {name: _add_metadata(model, props) for name, model in graphs.items()} | {NETWORK: network, **others}

    return of_version


def network_bytes(trained: Trained) -> bytes:
    """The content of network.safetensors."""
    if trained.image is not None:
        return image_checkpoint.to_bytes(trained.image, trained.inputs, trained.outputs)
    return checkpoint.to_bytes(settled(trained.kan), trained.inputs, trained.outputs, trained.intervals)


def describe(exported: Exported, precision_loss: Mapping[str, float]) -> pb.Lowering:
    """The manifest's description of the graph."""
    lowered, plan, verification = exported.lowered, exported.plan, exported.verification
    layers = [
        pb.LayerLowering(
            strategy=layer.strategy,
            candidates=[
                pb.Candidate(
                    strategy=candidate.strategy,
                    max_relative_error=candidate.max_relative_error,
                    timings=[pb.Timing(rows=rows, seconds=seconds) for rows, seconds in candidate.seconds.items()],
                )
                for candidate in layer.candidates
            ],
        )
        for layer in lowered.report.layers
    ]
    return pb.Lowering(
        strategies=lowered.strategies,
        opset=lowered.model.opset_import[0].version,
        ir_version=lowered.model.ir_version,
        tolerance=plan.tolerance,
        max_abs_error=verification.errors.max_abs_error,
        max_relative_error=verification.errors.max_relative_error,
        verified_rows=verification.errors.rows,
        output_scale=verification.scale,
        precision=plan.precision,
        precision_loss=precision_loss,
        tuned_for=plan.tune_for,
        tuned_on=f"{platform.machine()}, onnxruntime {ONNXRUNTIME_VERSION}" if plan.tune_for else "",
        layers=layers,
    )


def _add_metadata(model: onnx.ModelProto, props: Mapping[str, str]) -> bytes:
    stamped = onnx.ModelProto()
    stamped.CopyFrom(model)
    helper.set_model_props(stamped, dict(props))
    return stamped.SerializeToString()
