from kan_api.v1 import manifest_pb2 as _manifest_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_BULK: _ClassVar[Priority]

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_LOADING: _ClassVar[ModelState]
    MODEL_STATE_READY: _ClassVar[ModelState]
    MODEL_STATE_REFUSED: _ClassVar[ModelState]
PRIORITY_UNSPECIFIED: Priority
PRIORITY_BULK: Priority
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_LOADING: ModelState
MODEL_STATE_READY: ModelState
MODEL_STATE_REFUSED: ModelState

class Matrix(_message.Message):
    __slots__ = ("rows", "columns", "raw", "values")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    raw: bytes
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ..., raw: _Optional[bytes] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("model", "version", "features", "id", "priority", "report_ground")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    REPORT_GROUND_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    features: Matrix
    id: str
    priority: Priority
    report_ground: bool
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., features: _Optional[_Union[Matrix, _Mapping]] = ..., id: _Optional[str] = ..., priority: _Optional[_Union[Priority, str]] = ..., report_ground: _Optional[bool] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: Matrix
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Union[Matrix, _Mapping]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("id", "model", "version", "outputs", "queue_seconds", "compute_seconds", "ground")
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    GROUND_FIELD_NUMBER: _ClassVar[int]
    id: str
    model: str
    version: int
    outputs: _containers.RepeatedCompositeFieldContainer[Output]
    queue_seconds: float
    compute_seconds: float
    ground: Ground
    def __init__(self, id: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., outputs: _Optional[_Iterable[_Union[Output, _Mapping]]] = ..., queue_seconds: _Optional[float] = ..., compute_seconds: _Optional[float] = ..., ground: _Optional[_Union[Ground, _Mapping]] = ...) -> None: ...

class UnknownCell(_message.Message):
    __slots__ = ("row", "column", "reason", "value")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[UnknownCell.Reason]
        REASON_OUTSIDE_RANGE: _ClassVar[UnknownCell.Reason]
        REASON_EMPTY_CELL: _ClassVar[UnknownCell.Reason]
        REASON_UNSEEN_WORD: _ClassVar[UnknownCell.Reason]
    REASON_UNSPECIFIED: UnknownCell.Reason
    REASON_OUTSIDE_RANGE: UnknownCell.Reason
    REASON_EMPTY_CELL: UnknownCell.Reason
    REASON_UNSEEN_WORD: UnknownCell.Reason
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    row: int
    column: str
    reason: UnknownCell.Reason
    value: float
    def __init__(self, row: _Optional[int] = ..., column: _Optional[str] = ..., reason: _Optional[_Union[UnknownCell.Reason, str]] = ..., value: _Optional[float] = ...) -> None: ...

class Ground(_message.Message):
    __slots__ = ("is_known", "unknown_rows", "unknown_cells", "cells")
    IS_KNOWN_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_ROWS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_CELLS_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    is_known: bool
    unknown_rows: int
    unknown_cells: int
    cells: _containers.RepeatedCompositeFieldContainer[UnknownCell]
    def __init__(self, is_known: _Optional[bool] = ..., unknown_rows: _Optional[int] = ..., unknown_cells: _Optional[int] = ..., cells: _Optional[_Iterable[_Union[UnknownCell, _Mapping]]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("model", "version", "features", "id", "priority", "reference")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    features: Matrix
    id: str
    priority: Priority
    reference: Matrix
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., features: _Optional[_Union[Matrix, _Mapping]] = ..., id: _Optional[str] = ..., priority: _Optional[_Union[Priority, str]] = ..., reference: _Optional[_Union[Matrix, _Mapping]] = ...) -> None: ...

class Contributions(_message.Message):
    __slots__ = ("output", "values")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    output: str
    values: Matrix
    def __init__(self, output: _Optional[str] = ..., values: _Optional[_Union[Matrix, _Mapping]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("id", "model", "version", "columns", "explained", "explains_scores", "baseline", "contributions", "ground", "queue_seconds", "compute_seconds")
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_FIELD_NUMBER: _ClassVar[int]
    EXPLAINS_SCORES_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    GROUND_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    model: str
    version: int
    columns: _containers.RepeatedScalarFieldContainer[str]
    explained: Matrix
    explains_scores: bool
    baseline: Matrix
    contributions: _containers.RepeatedCompositeFieldContainer[Contributions]
    ground: Ground
    queue_seconds: float
    compute_seconds: float
    def __init__(self, id: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., columns: _Optional[_Iterable[str]] = ..., explained: _Optional[_Union[Matrix, _Mapping]] = ..., explains_scores: _Optional[bool] = ..., baseline: _Optional[_Union[Matrix, _Mapping]] = ..., contributions: _Optional[_Iterable[_Union[Contributions, _Mapping]]] = ..., ground: _Optional[_Union[Ground, _Mapping]] = ..., queue_seconds: _Optional[float] = ..., compute_seconds: _Optional[float] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message", "retry_after_seconds")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    retry_after_seconds: float
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., retry_after_seconds: _Optional[float] = ...) -> None: ...

class PredictStreamResponse(_message.Message):
    __slots__ = ("id", "prediction", "failure")
    ID_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    id: str
    prediction: PredictResponse
    failure: Failure
    def __init__(self, id: _Optional[str] = ..., prediction: _Optional[_Union[PredictResponse, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ModelStatus(_message.Message):
    __slots__ = ("name", "version", "state", "reason", "task", "feature_count", "latest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    LATEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    state: ModelState
    reason: str
    task: _manifest_pb2.Task
    feature_count: int
    latest: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[_Union[ModelState, str]] = ..., reason: _Optional[str] = ..., task: _Optional[_Union[_manifest_pb2.Task, str]] = ..., feature_count: _Optional[int] = ..., latest: _Optional[bool] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelStatus]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelStatus, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model", "version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_request_rows", "max_message_bytes", "shared_request_rows")
    MAX_REQUEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHARED_REQUEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    max_request_rows: int
    max_message_bytes: int
    shared_request_rows: int
    def __init__(self, max_request_rows: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., shared_request_rows: _Optional[int] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("manifest", "limits", "left_out")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    manifest: _manifest_pb2.ModelManifest
    limits: Limits
    left_out: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, manifest: _Optional[_Union[_manifest_pb2.ModelManifest, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., left_out: _Optional[_Iterable[str]] = ...) -> None: ...
