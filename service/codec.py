"""Messages to float32 rows and back. Nothing is guessed: what does not fit is refused, field by field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.prediction_pb2 import Matrix
from open_inference.grpc_predict_v2_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse
from service.errors import InvalidRequest
from service.model import LiveModel

Rows = NDArray[np.float32]

# Open Inference datatypes that are taken: little-endian numpy type of the raw bytes, field of the typed contents.
_DATATYPES: Mapping[str, tuple[np.dtype[Any], str]] = {
    "FP32": (np.dtype("<f4"), "fp32_contents"),
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


def decode_matrix(matrix: Matrix, model: LiveModel, max_request_rows: int) -> Rows:
    """The rows of a Predict request.

    Args:
        matrix: As it came.
        model: Who is to answer; gives the features and which of them may be NaN.
        max_request_rows: Most rows that one request may bring.

    Returns:
        float32 [rows, features], finite except NaN where the model imputes; may be a read-only view of the message.

    Raises:
        InvalidRequest: The matrix does not fit the model; the message names the field.
    """
    _check_shape("features", matrix.rows, matrix.columns, model, max_request_rows)
    if matrix.raw and matrix.values:
        raise InvalidRequest("features has both raw and values; wanted one of them")
    count = matrix.rows * matrix.columns
    numbers: NDArray[Any]
    if matrix.values:
        if len(matrix.values) != count:
            raise InvalidRequest(
                f"features.values holds {len(matrix.values)} numbers; "
                f"wanted {count} ({matrix.rows} rows of {matrix.columns})"
            )
        numbers = np.array(matrix.values, dtype=np.float32)
    else:
        numbers = _from_raw("features.raw", matrix.raw, np.dtype("<f4"), matrix.rows, matrix.columns)
    return _checked("features", numbers.reshape(matrix.rows, matrix.columns), model)


def encode_matrix(values: NDArray[Any], *, raw: bool) -> Matrix:
    """A model's output as a message.

    Args:
        values: [rows, columns]; or [rows], which makes one column.
        raw: As bytes (the fast way) or as a list of numbers (the readable way).
    """
    values = values.reshape(len(values), -1)
    matrix = Matrix(rows=values.shape[0], columns=values.shape[1])
    if raw:
        matrix.raw = _raw(values)
    else:
        matrix.values.extend(values.ravel().tolist())
    return matrix


def decode_infer(request: ModelInferRequest, model: LiveModel, max_request_rows: int) -> Rows:
    """The rows of a ModelInfer request, from raw or typed contents; integers and FP64 become float32.

    Args, Returns and Raises as those of :func:`decode_matrix`.
    """
    tensor = _only_input(request, model)
    where = f"input {tensor.name!r}"
    _refuse_extensions(where, tensor.parameters)
    if tensor.datatype not in _DATATYPES:
        raise InvalidRequest(f"{where} has datatype {tensor.datatype!r}; wanted FP32 (or one of {_others()})")
    if len(tensor.shape) != 2:
        raise InvalidRequest(f"{where} has shape {list(tensor.shape[:8])}; wanted [rows, {model.features}]")
    rows, columns = tensor.shape
    _check_shape(where, rows, columns, model, max_request_rows)
    dtype, field = _DATATYPES[tensor.datatype]
    if request.raw_input_contents:
        _check_raw_count(request, where)
        numbers = _from_raw(f"{where}: raw contents", request.raw_input_contents[0], dtype, rows, columns)
    else:
        numbers = _from_typed(where, tensor, dtype, field, rows * columns)
    return _checked(where, numbers.reshape(rows, columns), model)


@dataclass(frozen=True)
class Wanted:
    """Which outputs a ModelInfer request asks for, as positions in the model's outputs, and in what form."""

    positions: tuple[int, ...]
    raw: bool


def wanted_outputs(request: ModelInferRequest, model: LiveModel) -> Wanted:
    """What a ModelInfer request wants back: the outputs that it names, else all; raw where it came raw.

    Raises:
        InvalidRequest: An output is named twice, or the model has none of that name.
    """
    names = [spec.name for spec in model.manifest.outputs]
    positions: list[int] = []
    for output in request.outputs:
        where = f"output {output.name!r}"
        if output.name not in names:
            raise InvalidRequest(f"{where} is asked for; wanted one of {names}")
        _refuse_extensions(where, output.parameters)
        if names.index(output.name) in positions:
            raise InvalidRequest(f"{where} is asked for twice; wanted each output once")
        positions.append(names.index(output.name))
    return Wanted(tuple(positions or range(len(names))), raw=bool(request.raw_input_contents))


def encode_infer(
    response: ModelInferResponse, outputs: Sequence[NDArray[Any]], model: LiveModel, wanted: Wanted
) -> None:
    """Put a model's outputs into a ModelInfer response.

    Args:
        response: Gets the tensors.
        outputs: All outputs of the model, [rows, ...] each, in the manifest's order.
        model: Gives their names.
        wanted: Which of them, and in what form.
    """
    for position in wanted.positions:
        values = outputs[position]
        tensor = response.outputs.add(name=model.manifest.outputs[position].name, datatype="FP32", shape=values.shape)
        if wanted.raw:
            response.raw_output_contents.append(_raw(values))
        else:
            tensor.contents.fp32_contents.extend(values.ravel().tolist())


def _only_input(request: ModelInferRequest, model: LiveModel) -> ModelInferRequest.InferInputTensor:
    """The one tensor that a model takes."""
    wanted = model.manifest.inputs[0].name
    names = [tensor.name for tensor in request.inputs]
    if names != [wanted]:
        raise InvalidRequest(f"inputs are {names[:8]}; wanted one tensor, {wanted!r}")
    return request.inputs[0]


def _refuse_extensions(where: str, parameters: Mapping[str, object]) -> None:
    """Refuse an extension that would be answered wrongly if it were passed over."""
    for parameter in _UNSUPPORTED_PARAMETERS:
        if parameter in parameters:
            raise InvalidRequest(f"{where} has parameter {parameter!r}, an extension that this server does not have")


def _check_shape(where: str, rows: int, columns: int, model: LiveModel, max_request_rows: int) -> None:
    """Refuse a shape by its numbers alone, before anything of that size is made."""
    if columns != model.features:
        raise InvalidRequest(f"{where} has {columns} columns; model {model.name!r} wants {model.features}")
    if not 1 <= rows <= max_request_rows:
        raise InvalidRequest(f"{where} has {rows} rows; wanted 1 to {max_request_rows}")


def _check_raw_count(request: ModelInferRequest, where: str) -> None:
    """Raw contents come one an input, and instead of typed ones."""
    if len(request.raw_input_contents) != 1:
        raise InvalidRequest(f"raw_input_contents has {len(request.raw_input_contents)} entries; wanted 1, for {where}")
    filled = _filled(request.inputs[0].contents)
    if filled:
        raise InvalidRequest(f"{where} has contents.{filled[0]} beside raw_input_contents; wanted one of them")


def _from_raw(where: str, raw: bytes, dtype: np.dtype[Any], rows: int, columns: int) -> NDArray[Any]:
    """Numbers from bytes, not copied."""
    wanted = rows * columns * dtype.itemsize
    if len(raw) != wanted:
        raise InvalidRequest(
            f"{where}: {len(raw)} bytes came; wanted {wanted} ({rows} rows of {columns}, {dtype.itemsize} bytes each)"
        )
    return np.frombuffer(raw, dtype)


def _from_typed(
    where: str, tensor: ModelInferRequest.InferInputTensor, dtype: np.dtype[Any], field: str, count: int
) -> NDArray[Any]:
    """Numbers from the one field of typed contents that the datatype goes with."""
    filled = _filled(tensor.contents)
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


def _filled(contents: InferTensorContents) -> list[str]:
    """Names of the fields of typed contents that hold something."""
    return [field.name for field, _ in contents.ListFields()]


def _checked(where: str, numbers: NDArray[Any], model: LiveModel) -> Rows:
    """The numbers as float32; refused where one is infinite, does not fit, or is NaN and not imputed."""
    with np.errstate(over="ignore"):
        rows: Rows = numbers.astype(np.float32, copy=False)
    finite = np.isfinite(rows)
    if finite.all():
        return rows
    bad = ~finite & ~(np.isnan(rows) & model.imputes)
    if bad.any():
        row, column = (int(index) for index in np.argwhere(bad)[0])
        name = model.manifest.features[column].name
        wanted = "a finite float32, or NaN for a missing value" if model.imputes[column] else "a finite float32"
        raise InvalidRequest(
            f"{where}: row {row}, column {column} ({name!r}) is {numbers[row, column]}; wanted {wanted}"
        )
    return rows


def _raw(values: NDArray[Any]) -> bytes:
    """Little-endian float32 bytes in row-major order."""
    return values.astype("<f4", copy=False).tobytes()


def _others() -> str:
    """The datatypes besides FP32 that are taken."""
    return ", ".join(name for name in _DATATYPES if name != "FP32")
