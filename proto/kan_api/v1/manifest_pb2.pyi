from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Task(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_UNSPECIFIED: _ClassVar[Task]
    TASK_REGRESSION: _ClassVar[Task]
    TASK_CLASSIFICATION: _ClassVar[Task]
TASK_UNSPECIFIED: Task
TASK_REGRESSION: Task
TASK_CLASSIFICATION: Task

class TensorSpec(_message.Message):
    __slots__ = ("name", "datatype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class TargetStatistics(_message.Message):
    __slots__ = ("words", "values", "prior")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedScalarFieldContainer[str]
    values: _containers.RepeatedScalarFieldContainer[float]
    prior: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, words: _Optional[_Iterable[str]] = ..., values: _Optional[_Iterable[float]] = ..., prior: _Optional[_Iterable[float]] = ...) -> None: ...

class DateEncoding(_message.Message):
    __slots__ = ("format", "first_day")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FIRST_DAY_FIELD_NUMBER: _ClassVar[int]
    format: str
    first_day: str
    def __init__(self, format: _Optional[str] = ..., first_day: _Optional[str] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "categories", "unseen_is_other", "statistics", "date", "attribution")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    UNSEEN_IS_OTHER_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    DATE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    categories: _containers.RepeatedScalarFieldContainer[str]
    unseen_is_other: bool
    statistics: TargetStatistics
    date: DateEncoding
    attribution: float
    def __init__(self, name: _Optional[str] = ..., categories: _Optional[_Iterable[str]] = ..., unseen_is_other: _Optional[bool] = ..., statistics: _Optional[_Union[TargetStatistics, _Mapping]] = ..., date: _Optional[_Union[DateEncoding, _Mapping]] = ..., attribution: _Optional[float] = ...) -> None: ...

class Histogram(_message.Message):
    __slots__ = ("edges", "counts")
    EDGES_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    edges: _containers.RepeatedScalarFieldContainer[float]
    counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, edges: _Optional[_Iterable[float]] = ..., counts: _Optional[_Iterable[int]] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "column", "category", "low", "high", "imputed", "constant", "histogram", "attribution", "has_gap_input", "monotone")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    IMPUTED_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    HAS_GAP_INPUT_FIELD_NUMBER: _ClassVar[int]
    MONOTONE_FIELD_NUMBER: _ClassVar[int]
    name: str
    column: str
    category: str
    low: float
    high: float
    imputed: float
    constant: bool
    histogram: Histogram
    attribution: float
    has_gap_input: bool
    monotone: str
    def __init__(self, name: _Optional[str] = ..., column: _Optional[str] = ..., category: _Optional[str] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., imputed: _Optional[float] = ..., constant: _Optional[bool] = ..., histogram: _Optional[_Union[Histogram, _Mapping]] = ..., attribution: _Optional[float] = ..., has_gap_input: _Optional[bool] = ..., monotone: _Optional[str] = ...) -> None: ...

class Pair(_message.Message):
    __slots__ = ("first", "second")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    first: str
    second: str
    def __init__(self, first: _Optional[str] = ..., second: _Optional[str] = ...) -> None: ...

class Level(_message.Message):
    __slots__ = ("adding", "multiplying", "sums", "arities")
    ADDING_FIELD_NUMBER: _ClassVar[int]
    MULTIPLYING_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    ARITIES_FIELD_NUMBER: _ClassVar[int]
    adding: int
    multiplying: int
    sums: int
    arities: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, adding: _Optional[int] = ..., multiplying: _Optional[int] = ..., sums: _Optional[int] = ..., arities: _Optional[_Iterable[int]] = ...) -> None: ...

class Convolution(_message.Message):
    __slots__ = ("channels", "height", "width", "kernel", "stride", "padding", "groups", "pool", "pool_size")
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    POOL_SIZE_FIELD_NUMBER: _ClassVar[int]
    channels: int
    height: int
    width: int
    kernel: int
    stride: int
    padding: int
    groups: int
    pool: str
    pool_size: int
    def __init__(self, channels: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., kernel: _Optional[int] = ..., stride: _Optional[int] = ..., padding: _Optional[int] = ..., groups: _Optional[int] = ..., pool: _Optional[str] = ..., pool_size: _Optional[int] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("width", "grid_size", "degree", "outside", "parameters", "convolutions", "levels", "functions")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    GRID_SIZE_FIELD_NUMBER: _ClassVar[int]
    DEGREE_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CONVOLUTIONS_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    width: _containers.RepeatedScalarFieldContainer[int]
    grid_size: int
    degree: int
    outside: str
    parameters: int
    convolutions: _containers.RepeatedCompositeFieldContainer[Convolution]
    levels: _containers.RepeatedCompositeFieldContainer[Level]
    functions: int
    def __init__(self, width: _Optional[_Iterable[int]] = ..., grid_size: _Optional[int] = ..., degree: _Optional[int] = ..., outside: _Optional[str] = ..., parameters: _Optional[int] = ..., convolutions: _Optional[_Iterable[_Union[Convolution, _Mapping]]] = ..., levels: _Optional[_Iterable[_Union[Level, _Mapping]]] = ..., functions: _Optional[int] = ...) -> None: ...

class Lowering(_message.Message):
    __slots__ = ("strategies", "opset", "ir_version", "tolerance", "max_abs_error", "max_relative_error", "verified_rows", "output_scale", "precision", "precision_loss", "tuned_for", "tuned_on", "layers")
    class PrecisionLossEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STRATEGIES_FIELD_NUMBER: _ClassVar[int]
    OPSET_FIELD_NUMBER: _ClassVar[int]
    IR_VERSION_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    MAX_ABS_ERROR_FIELD_NUMBER: _ClassVar[int]
    MAX_RELATIVE_ERROR_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_ROWS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SCALE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    PRECISION_LOSS_FIELD_NUMBER: _ClassVar[int]
    TUNED_FOR_FIELD_NUMBER: _ClassVar[int]
    TUNED_ON_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    strategies: _containers.RepeatedScalarFieldContainer[str]
    opset: int
    ir_version: int
    tolerance: float
    max_abs_error: float
    max_relative_error: float
    verified_rows: int
    output_scale: _containers.RepeatedScalarFieldContainer[float]
    precision: str
    precision_loss: _containers.ScalarMap[str, float]
    tuned_for: _containers.RepeatedScalarFieldContainer[int]
    tuned_on: str
    layers: _containers.RepeatedCompositeFieldContainer[LayerLowering]
    def __init__(self, strategies: _Optional[_Iterable[str]] = ..., opset: _Optional[int] = ..., ir_version: _Optional[int] = ..., tolerance: _Optional[float] = ..., max_abs_error: _Optional[float] = ..., max_relative_error: _Optional[float] = ..., verified_rows: _Optional[int] = ..., output_scale: _Optional[_Iterable[float]] = ..., precision: _Optional[str] = ..., precision_loss: _Optional[_Mapping[str, float]] = ..., tuned_for: _Optional[_Iterable[int]] = ..., tuned_on: _Optional[str] = ..., layers: _Optional[_Iterable[_Union[LayerLowering, _Mapping]]] = ...) -> None: ...

class LayerLowering(_message.Message):
    __slots__ = ("strategy", "candidates")
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    def __init__(self, strategy: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("strategy", "max_relative_error", "timings")
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    MAX_RELATIVE_ERROR_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    max_relative_error: float
    timings: _containers.RepeatedCompositeFieldContainer[Timing]
    def __init__(self, strategy: _Optional[str] = ..., max_relative_error: _Optional[float] = ..., timings: _Optional[_Iterable[_Union[Timing, _Mapping]]] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("rows", "seconds")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    seconds: float
    def __init__(self, rows: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("edges", "max_rows")
    EDGES_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    edges: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    max_rows: int
    def __init__(self, edges: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., max_rows: _Optional[int] = ...) -> None: ...

class DataSummary(_message.Message):
    __slots__ = ("source", "fingerprint", "train_rows", "validation_rows", "test_rows", "dropped_rows", "refit", "validation_trained")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    TEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_ROWS_FIELD_NUMBER: _ClassVar[int]
    REFIT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_TRAINED_FIELD_NUMBER: _ClassVar[int]
    source: str
    fingerprint: str
    train_rows: int
    validation_rows: int
    test_rows: int
    dropped_rows: int
    refit: bool
    validation_trained: bool
    def __init__(self, source: _Optional[str] = ..., fingerprint: _Optional[str] = ..., train_rows: _Optional[int] = ..., validation_rows: _Optional[int] = ..., test_rows: _Optional[int] = ..., dropped_rows: _Optional[int] = ..., refit: _Optional[bool] = ..., validation_trained: _Optional[bool] = ...) -> None: ...

class File(_message.Message):
    __slots__ = ("name", "sha256", "size_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    sha256: str
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class Origin(_message.Message):
    __slots__ = ("kind", "files", "command")
    KIND_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    kind: str
    files: _containers.RepeatedCompositeFieldContainer[File]
    command: str
    def __init__(self, kind: _Optional[str] = ..., files: _Optional[_Iterable[_Union[File, _Mapping]]] = ..., command: _Optional[str] = ...) -> None: ...

class Objective(_message.Message):
    __slots__ = ("target_scale", "weights", "class_weights", "loss", "quantile", "huber_delta")
    TARGET_SCALE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_FIELD_NUMBER: _ClassVar[int]
    HUBER_DELTA_FIELD_NUMBER: _ClassVar[int]
    target_scale: str
    weights: str
    class_weights: _containers.RepeatedScalarFieldContainer[float]
    loss: str
    quantile: float
    huber_delta: float
    def __init__(self, target_scale: _Optional[str] = ..., weights: _Optional[str] = ..., class_weights: _Optional[_Iterable[float]] = ..., loss: _Optional[str] = ..., quantile: _Optional[float] = ..., huber_delta: _Optional[float] = ...) -> None: ...

class AttributionGraph(_message.Message):
    __slots__ = ("reference", "from_histograms", "columns", "explains_scores", "max_rows", "max_relative_error")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    FROM_HISTOGRAMS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    EXPLAINS_SCORES_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_RELATIVE_ERROR_FIELD_NUMBER: _ClassVar[int]
    reference: _containers.RepeatedScalarFieldContainer[float]
    from_histograms: bool
    columns: _containers.RepeatedScalarFieldContainer[str]
    explains_scores: bool
    max_rows: int
    max_relative_error: float
    def __init__(self, reference: _Optional[_Iterable[float]] = ..., from_histograms: _Optional[bool] = ..., columns: _Optional[_Iterable[str]] = ..., explains_scores: _Optional[bool] = ..., max_rows: _Optional[int] = ..., max_relative_error: _Optional[float] = ...) -> None: ...

class Formula(_message.Message):
    __slots__ = ("text", "latex", "r2_to_network", "formula_metrics", "network_metrics", "served")
    class FormulaMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class NetworkMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LATEX_FIELD_NUMBER: _ClassVar[int]
    R2_TO_NETWORK_FIELD_NUMBER: _ClassVar[int]
    FORMULA_METRICS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_METRICS_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    text: _containers.RepeatedScalarFieldContainer[str]
    latex: _containers.RepeatedScalarFieldContainer[str]
    r2_to_network: _containers.RepeatedScalarFieldContainer[float]
    formula_metrics: _containers.ScalarMap[str, float]
    network_metrics: _containers.ScalarMap[str, float]
    served: bool
    def __init__(self, text: _Optional[_Iterable[str]] = ..., latex: _Optional[_Iterable[str]] = ..., r2_to_network: _Optional[_Iterable[float]] = ..., formula_metrics: _Optional[_Mapping[str, float]] = ..., network_metrics: _Optional[_Mapping[str, float]] = ..., served: _Optional[bool] = ...) -> None: ...

class Intervals(_message.Message):
    __slots__ = ("coverage", "kind", "half_width", "is_scaled", "calibration_rows", "judged_by", "judged_rows", "judged_coverage", "judged_width", "curve_asked", "curve_found", "quantile_pair")
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HALF_WIDTH_FIELD_NUMBER: _ClassVar[int]
    IS_SCALED_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_BY_FIELD_NUMBER: _ClassVar[int]
    JUDGED_ROWS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    JUDGED_WIDTH_FIELD_NUMBER: _ClassVar[int]
    CURVE_ASKED_FIELD_NUMBER: _ClassVar[int]
    CURVE_FOUND_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_PAIR_FIELD_NUMBER: _ClassVar[int]
    coverage: float
    kind: str
    half_width: _containers.RepeatedScalarFieldContainer[float]
    is_scaled: bool
    calibration_rows: int
    judged_by: str
    judged_rows: int
    judged_coverage: _containers.RepeatedScalarFieldContainer[float]
    judged_width: _containers.RepeatedScalarFieldContainer[float]
    curve_asked: _containers.RepeatedScalarFieldContainer[float]
    curve_found: _containers.RepeatedScalarFieldContainer[float]
    quantile_pair: QuantilePair
    def __init__(self, coverage: _Optional[float] = ..., kind: _Optional[str] = ..., half_width: _Optional[_Iterable[float]] = ..., is_scaled: _Optional[bool] = ..., calibration_rows: _Optional[int] = ..., judged_by: _Optional[str] = ..., judged_rows: _Optional[int] = ..., judged_coverage: _Optional[_Iterable[float]] = ..., judged_width: _Optional[_Iterable[float]] = ..., curve_asked: _Optional[_Iterable[float]] = ..., curve_found: _Optional[_Iterable[float]] = ..., quantile_pair: _Optional[_Union[QuantilePair, _Mapping]] = ...) -> None: ...

class QuantilePair(_message.Message):
    __slots__ = ("train_rows", "judged_coverage", "judged_width", "equal_width", "intervals_equal_width")
    TRAIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    JUDGED_WIDTH_FIELD_NUMBER: _ClassVar[int]
    EQUAL_WIDTH_FIELD_NUMBER: _ClassVar[int]
    INTERVALS_EQUAL_WIDTH_FIELD_NUMBER: _ClassVar[int]
    train_rows: int
    judged_coverage: _containers.RepeatedScalarFieldContainer[float]
    judged_width: _containers.RepeatedScalarFieldContainer[float]
    equal_width: _containers.RepeatedScalarFieldContainer[float]
    intervals_equal_width: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, train_rows: _Optional[int] = ..., judged_coverage: _Optional[_Iterable[float]] = ..., judged_width: _Optional[_Iterable[float]] = ..., equal_width: _Optional[_Iterable[float]] = ..., intervals_equal_width: _Optional[_Iterable[float]] = ...) -> None: ...

class CalibrationScores(_message.Message):
    __slots__ = ("rows", "temperature", "log_loss_before", "log_loss_after", "error_before", "error_after", "error_by_chance", "mean_probability", "share_right")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    LOG_LOSS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    LOG_LOSS_AFTER_FIELD_NUMBER: _ClassVar[int]
    ERROR_BEFORE_FIELD_NUMBER: _ClassVar[int]
    ERROR_AFTER_FIELD_NUMBER: _ClassVar[int]
    ERROR_BY_CHANCE_FIELD_NUMBER: _ClassVar[int]
    MEAN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    SHARE_RIGHT_FIELD_NUMBER: _ClassVar[int]
    rows: int
    temperature: float
    log_loss_before: float
    log_loss_after: float
    error_before: float
    error_after: float
    error_by_chance: float
    mean_probability: _containers.RepeatedScalarFieldContainer[float]
    share_right: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, rows: _Optional[int] = ..., temperature: _Optional[float] = ..., log_loss_before: _Optional[float] = ..., log_loss_after: _Optional[float] = ..., error_before: _Optional[float] = ..., error_after: _Optional[float] = ..., error_by_chance: _Optional[float] = ..., mean_probability: _Optional[_Iterable[float]] = ..., share_right: _Optional[_Iterable[float]] = ...) -> None: ...

class ClassSets(_message.Message):
    __slots__ = ("coverage", "threshold", "calibration_rows", "judged_by", "judged_rows", "judged_coverage", "judged_size")
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_BY_FIELD_NUMBER: _ClassVar[int]
    JUDGED_ROWS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    JUDGED_SIZE_FIELD_NUMBER: _ClassVar[int]
    coverage: float
    threshold: float
    calibration_rows: int
    judged_by: str
    judged_rows: int
    judged_coverage: float
    judged_size: float
    def __init__(self, coverage: _Optional[float] = ..., threshold: _Optional[float] = ..., calibration_rows: _Optional[int] = ..., judged_by: _Optional[str] = ..., judged_rows: _Optional[int] = ..., judged_coverage: _Optional[float] = ..., judged_size: _Optional[float] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("temperature", "estimated", "test", "sets")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    estimated: CalibrationScores
    test: CalibrationScores
    sets: ClassSets
    def __init__(self, temperature: _Optional[float] = ..., estimated: _Optional[_Union[CalibrationScores, _Mapping]] = ..., test: _Optional[_Union[CalibrationScores, _Mapping]] = ..., sets: _Optional[_Union[ClassSets, _Mapping]] = ...) -> None: ...

class ModelManifest(_message.Message):
    __slots__ = ("name", "version", "created", "library_version", "task", "target", "classes", "inputs", "outputs", "columns", "features", "network", "lowering", "metrics", "data", "files", "preferred_rows", "recipe", "formula", "explanation", "continued_from", "origin", "objective", "targets", "attribution_graph", "unknown_ground", "answers", "formula_details", "image_shape", "intervals", "calibration", "pairs")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    LIBRARY_VERSION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    LOWERING_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_ROWS_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    FORMULA_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    CONTINUED_FROM_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTION_GRAPH_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_GROUND_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    FORMULA_DETAILS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SHAPE_FIELD_NUMBER: _ClassVar[int]
    INTERVALS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    created: str
    library_version: str
    task: Task
    target: str
    classes: _containers.RepeatedScalarFieldContainer[str]
    inputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    network: Network
    lowering: Lowering
    metrics: _containers.ScalarMap[str, float]
    data: DataSummary
    files: _containers.RepeatedCompositeFieldContainer[File]
    preferred_rows: int
    recipe: str
    formula: str
    explanation: Explanation
    continued_from: int
    origin: Origin
    objective: Objective
    targets: _containers.RepeatedScalarFieldContainer[str]
    attribution_graph: AttributionGraph
    unknown_ground: str
    answers: _containers.RepeatedCompositeFieldContainer[Histogram]
    formula_details: Formula
    image_shape: _containers.RepeatedScalarFieldContainer[int]
    intervals: Intervals
    calibration: Calibration
    pairs: _containers.RepeatedCompositeFieldContainer[Pair]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., created: _Optional[str] = ..., library_version: _Optional[str] = ..., task: _Optional[_Union[Task, str]] = ..., target: _Optional[str] = ..., classes: _Optional[_Iterable[str]] = ..., inputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., network: _Optional[_Union[Network, _Mapping]] = ..., lowering: _Optional[_Union[Lowering, _Mapping]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., data: _Optional[_Union[DataSummary, _Mapping]] = ..., files: _Optional[_Iterable[_Union[File, _Mapping]]] = ..., preferred_rows: _Optional[int] = ..., recipe: _Optional[str] = ..., formula: _Optional[str] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ..., continued_from: _Optional[int] = ..., origin: _Optional[_Union[Origin, _Mapping]] = ..., objective: _Optional[_Union[Objective, _Mapping]] = ..., targets: _Optional[_Iterable[str]] = ..., attribution_graph: _Optional[_Union[AttributionGraph, _Mapping]] = ..., unknown_ground: _Optional[str] = ..., answers: _Optional[_Iterable[_Union[Histogram, _Mapping]]] = ..., formula_details: _Optional[_Union[Formula, _Mapping]] = ..., image_shape: _Optional[_Iterable[int]] = ..., intervals: _Optional[_Union[Intervals, _Mapping]] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., pairs: _Optional[_Iterable[_Union[Pair, _Mapping]]] = ...) -> None: ...
