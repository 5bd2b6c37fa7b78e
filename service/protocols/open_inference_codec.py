"""Tensors of the Open Inference Protocol to float32 rows, and a model's outputs to tensors.

Nothing is guessed: what does not fit is refused, field by field.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from open_inference.grpc_predict_v2_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse
from service.errors import InvalidRequest, NotPublished
from service.protocols.explanation import attribution_of
from service.protocols.rows import FLOAT32, Rows, check_shape, from_raw, to_finite_rows, to_raw
from service.registry.model.live_model import LiveModel

# Open Inference datatypes that are taken: little-endian numpy type of the raw bytes, field of the typed contents.
_DATATYPES: Mapping[str, tuple[np.dtype[Any], str]] = {
    "FP32": (FLOAT32, "fp32_contents"),
    "FP64": (np.dtype("<f8"), "fp64_contents"),
    "INT8": (np.dtype("<i1"), "int_contents"),
    "INT16": (np.dtype("<i2"), "int_contents"),
    "INT32": (np.dtype("<i4"), "int_contents"),
    "INT64": (np.dtype("<i8"), "int64_contents"),
    "UINT8": (np.dtype("<u1"), "uint_contents"),
    "UINT16": (np.dtype("<u2"), "uint_contents"),
    "UINT32": (np.dtype("<u4"), "uint_contents"),
    "UINT64": (np.dtype("<u8"), "uint64_contents"),
}
# Triton's extensions that would change where or what the answer is.
_UNSUPPORTED_PARAMETERS = ("shared_memory_region", "classification")


def decode_infer(request: ModelInferRequest, model: LiveModel, max_request_rows: int) -> Rows:
    """The rows of a ModelInfer request, from raw or typed contents; integers and FP64 become float32.

    Args:
        request: As it came.
        model: Is to answer; gives the features and which of them may be NaN.
        max_request_rows: Most rows that one request may bring.

    Returns:
        float32 [rows, features], finite except NaN where the model imputes; may be a read-only view of the message.

    Raises:
        InvalidRequest: The request does not fit the model; the message names the field.
    """
    tensor = _only_input(request, model)
    where = f"input {tensor.name!r}"
    _refuse_extensions(where, tensor.parameters)
    datatype = _DATATYPES.get(tensor.datatype)
    if datatype is None:
        raise InvalidRequest(f"{where} has datatype {tensor.datatype!r}; wanted FP32 (or one of {_others()})")
    dtype, field = datatype
    rows, columns = _matrix(where, tensor.shape, model)
    check_shape(where, rows, columns, model, max_request_rows)
    raws = request.raw_input_contents
    if raws:
        numbers = from_raw(f"{where}: raw contents", _only_raw(raws, tensor, where), dtype, rows, columns)
    else:
        numbers = _from_typed(where, tensor, dtype, field, rows * columns).reshape(rows, columns)
    return to_finite_rows(where, numbers, model)


@dataclass(frozen=True, slots=True)
class ChosenOutputs:
    """Which outputs a ModelInfer request asks for, by name, and in what form.

    Attributes:
        names: In the order of the request.
        raw: Whether they come as raw contents.
        predicts: Whether one of them is computed by model.onnx.
        explains: Whether one of them is computed by attribution.onnx.
        looks: Whether the cells on unknown ground are among them.
    """

    names: tuple[str, ...]
    raw: bool
    predicts: bool = True
    explains: bool = False
    looks: bool = False


def choose_outputs(request: ModelInferRequest, model: LiveModel) -> ChosenOutputs:
    """What a ModelInfer request wants back, raw where it came raw: the outputs that it names, else all of the graph.

    Labels, contributions, baseline and unknown ground are returned only if the request names them. Without named
    outputs the response equals Triton's for the same folder: a client that reads each output as numbers goes on doing
    so, and nothing is computed that nobody reads.

    Raises:
        InvalidRequest: An output is named twice, or the model has none of that name.
        NotPublished: The version cannot explain its answers, or has no histograms.
    """
    raw = bool(request.raw_input_contents)
    tensors = model.tensors
    if not request.outputs:
        return ChosenOutputs(tensors.graph_names, raw)
    names: list[str] = []
    for output in request.outputs:
        where = f"output {output.name!r}"
        if output.name not in tensors.names:
            _refuse_unpublished(output.name, model)
            raise InvalidRequest(f"{where} is asked for; wanted one of {list(tensors.names)}")
        _refuse_extensions(where, output.parameters)
        if output.name in names:
            raise InvalidRequest(f"{where} is asked for twice; wanted each output once")
        names.append(output.name)
    explaining = {tensors.contributions_name, tensors.baseline_name}
    return ChosenOutputs(
        tuple(names),
        raw,
        predicts=not explaining.union({tensors.ground_name}).issuperset(names),
        explains=not explaining.isdisjoint(names),
        looks=tensors.ground_name in names,
    )


def encode_infer(
    response: ModelInferResponse, answers: Mapping[str, NDArray[Any]], model: LiveModel, chosen: ChosenOutputs
) -> None:
    """Put the chosen outputs into a ModelInfer response.

    Args:
        response: Gets the tensors.
        answers: The computed outputs by name, float32 or bool, rows first; all outputs of the graph if the labels are
            among the chosen.
        model: Gives the labels of a classification.
        chosen: Which of them, and in what form.
    """
    tensors = model.tensors
    for name in chosen.names:
        tensor = response.outputs.add()
        tensor.name = name
        if name == tensors.label_name:
            words = tensors.labels(answers[tensors.graph_names[0]])
            tensor.datatype = "BYTES"
            tensor.shape.extend((len(words), 1))
            if chosen.raw:
                response.raw_output_contents.append(to_raw_words(words))
            else:
                tensor.contents.bytes_contents.extend(words)
            continue
        values = answers[name]
        is_bool = values.dtype == np.bool_
        tensor.datatype = "BOOL" if is_bool else "FP32"
        tensor.shape.extend(values.shape)
        if chosen.raw:
            response.raw_output_contents.append(values.tobytes() if is_bool else to_raw(values))
        else:
            field = tensor.contents.bool_contents if is_bool else tensor.contents.fp32_contents
            field.extend(values.ravel().tolist())


def _refuse_unpublished(name: str, model: LiveModel) -> None:
    """Refuse an output that other versions have, and say why this one has not."""
    if name in (model.tensors.contributions_name, model.tensors.baseline_name):
        attribution_of(model)
    if name == model.tensors.ground_name:
        raise NotPublished(
            f"output {name!r}: model {model.name!r} version {model.version} has no histograms of training rows, so "
            "nothing is known of its ground"
        )


def to_raw_words(words: Sequence[bytes]) -> bytes:
    """Words as raw contents of datatype BYTES: each word follows its length in 4 bytes, little-endian."""
    return b"".join(struct.pack("<I", len(word)) + word for word in words)


def _only_input(request: ModelInferRequest, model: LiveModel) -> ModelInferRequest.InferInputTensor:
    """The one tensor that a model takes."""
    inputs, wanted = request.inputs, model.tensors.input_name
    if len(inputs) != 1 or inputs[0].name != wanted:
        raise InvalidRequest(f"inputs are {[one.name for one in inputs[:8]]}; wanted one tensor, {wanted!r}")
    return inputs[0]


def _matrix(where: str, shape: Sequence[int], model: LiveModel) -> tuple[int, int]:
    """Rows and columns of a tensor. An image is the same numbers in the same order as its row of features."""
    image = model.tensors.image_shape
    if len(shape) == 2:
        return shape[0], shape[1]
    if image and len(shape) == 4 and tuple(shape[1:]) == image:
        return shape[0], model.features
    wanted = f"[rows, {model.features}]" + (f" or [rows, {', '.join(map(str, image))}]" if image else "")
    raise InvalidRequest(f"{where} has shape {list(shape[:8])}; wanted {wanted}")


def _refuse_extensions(where: str, parameters: Mapping[str, object]) -> None:
    """Refuse an extension that would be answered wrongly if it were passed over."""
    if not parameters:
        return
    for parameter in _UNSUPPORTED_PARAMETERS:
        if parameter in parameters:
            raise InvalidRequest(f"{where} has parameter {parameter!r}, an extension that this server does not have")


def _only_raw(raws: Sequence[bytes], tensor: ModelInferRequest.InferInputTensor, where: str) -> bytes:
    """Raw contents, which come one an input, and instead of typed ones."""
    if len(raws) != 1:
        raise InvalidRequest(f"raw_input_contents has {len(raws)} entries; wanted 1, for {where}")
    if tensor.HasField("contents") and (filled := _filled_fields(tensor.contents)):
        raise InvalidRequest(f"{where} has contents.{filled[0]} beside raw_input_contents; wanted one of them")
    return raws[0]


def _from_typed(
    where: str, tensor: ModelInferRequest.InferInputTensor, dtype: np.dtype[Any], field: str, count: int
) -> NDArray[Any]:
    """Numbers from the one field of typed contents that the datatype goes with."""
    filled = _filled_fields(tensor.contents)
    if filled and filled != [field]:
        raise InvalidRequest(
            f"{where}: contents has {', '.join(filled)}; wanted {field} alone, for datatype {tensor.datatype}"
        )
    values = getattr(tensor.contents, field)
    if len(values) != count:
        raise InvalidRequest(f"{where}: contents.{field} holds {len(values)} numbers; wanted {count}")
    if dtype.itemsize >= 4:
        return np.array(values, dtype)
    # int_contents and uint_contents are 32 bits wide and carry the narrower types too.
    wide = np.array(values, np.int64)
    limits = np.iinfo(dtype)
    outside = wide[(wide < limits.min) | (wide > limits.max)]
    if outside.size:
        raise InvalidRequest(
            f"{where}: contents.{field} holds {outside[0]}; "
            f"wanted {limits.min} to {limits.max}, for datatype {tensor.datatype}"
        )
    return wide


def _filled_fields(contents: InferTensorContents) -> list[str]:
    """Names of the fields of typed contents that hold something."""
    return [field.name for field, _ in contents.ListFields()]


def _others() -> str:
    """The datatypes besides FP32 that are taken."""
    return ", ".join(name for name in _DATATYPES if name != "FP32")
