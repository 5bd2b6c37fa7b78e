"""What a person should conclude from a version's metrics, in one to three lines.

Example: "R² 0.843 on 102 test rows (the mean alone: -0.002, linear: 0.661, boosted trees: 0.872)".
"""

import math
from collections.abc import Iterator

from kan_api.metric_names import shown_name
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from training.publishing.manifest import BASELINES
from training.publishing.metrics import MEMBER

# How each kind of baseline is called; of the trivial one it depends on the task.
_NAMES = {"linear": "linear", "boosted": "boosted trees", "mlp": "MLP"}
# How far the score of the training rows may be above that of the validation rows.
_OVERFIT = 0.1


def judge_version(manifest: ModelManifest) -> tuple[str, list[str]]:
    """The verdict and the warnings, a sentence each.

    Args:
        manifest: Its metrics are read, with those of the baselines that the recipe asked for.

    Returns:
        The scores on the test rows, "" where there are none; and at most two warnings.
    """
    is_classification = manifest.task == TASK_CLASSIFICATION
    scores = ("accuracy", "log_loss") if is_classification else (_explained(manifest),)
    if not _has(manifest, [f"test_{name}" for name in scores]):
        return "", []
    line = f"{_show(manifest, 'test_', scores)} on {manifest.data.test_rows} test rows"
    beside = [
        f"{baseline_name(kind, manifest)}: {_show(manifest, f'{prefix}test_', scores, named=False)}"
        for kind, prefix in BASELINES.items()
        if _has(manifest, [f"{prefix}test_{name}" for name in scores])
    ]
    line += f" ({('; ' if is_classification else ', ').join(beside)})" if beside else ""
    warnings = [*_warn_of_simpler(manifest, is_classification), *_warn_of_overfitting(manifest, is_classification)]
    return line, warnings


def baseline_name(kind: str, manifest: ModelManifest) -> str:
    """What people call a baseline; the trivial one is the best constant of the loss that was minimized."""
    if kind != "trivial":
        return _NAMES[kind]
    if manifest.task == TASK_CLASSIFICATION:
        return "the class frequencies alone"
    objective = manifest.objective
    if objective.loss in ("", "squared_error", "poisson", "gamma") and objective.target_scale != "log":
        return "the mean alone"
    constants = {"mae": "the median alone", "quantile": f"the {objective.quantile:g} quantile alone"}
    return constants.get(objective.loss, "one number alone")


def _warn_of_simpler(manifest: ModelManifest, is_classification: bool) -> Iterator[str]:
    """That a simpler model is as good on the test rows; only the simplest one is named."""
    metric, sign = _compared(manifest, is_classification)
    ours = manifest.metrics.get(f"test_{metric}", math.nan)
    for kind, name in (("trivial", baseline_name("trivial", manifest)), ("linear", "a linear model")):
        theirs = manifest.metrics.get(f"{BASELINES[kind]}test_{metric}")
        if theirs is not None and sign * ours >= sign * theirs:
            comparison = f"{shown_name(metric)} {ours:.4g} against {theirs:.4g}"
            yield f"no better than {name}: {comparison} on the test rows"
            return
    explained = _explained(manifest)
    if manifest.metrics.get(f"test_{explained}", 1.0) < 0 and metric != "log_rmse":
        yield f"worse than always answering {'the mean' if explained == 'r2' else 'one number'}"


def _warn_of_overfitting(manifest: ModelManifest, is_classification: bool) -> Iterator[str]:
    score = "accuracy" if is_classification else _explained(manifest)
    if not _has(manifest, [f"train_{score}", f"validation_{score}"]):
        return
    train, validation = manifest.metrics[f"train_{score}"], manifest.metrics[f"validation_{score}"]
    # Of an ensemble the validation rows judge single members. Their mean is better than each of them on any rows, which
    # is no overfit; so single members are compared on the training rows too.
    train = min(train, manifest.metrics.get(f"{MEMBER}{score}", train))
    if not is_classification and train < _OVERFIT:
        return  # It learned next to nothing, so it did not learn noise either.
    rows = manifest.data.validation_rows or manifest.data.train_rows  # After a refit: out-of-fold answers to all rows.
    allowed = max(_OVERFIT, 2 * _standard_error(validation, rows, is_classification))
    if train - validation > allowed:
        yield (
            f"overfits: {shown_name(score)} {train:.3f} on the training rows, {validation:.3f} on the "
            "validation rows; fewer hidden nodes, fewer intervals or, with adam, a larger weight_decay may help"
        )


def _compared(manifest: ModelManifest, is_classification: bool) -> tuple[str, int]:
    """The metric that models are compared by; and 1 if less of it is better, -1 if more."""
    if is_classification:
        return "log_loss", 1
    if _explained(manifest) == "deviance_explained":
        return "deviance_explained", -1
    return ("log_rmse" if "test_log_rmse" in manifest.metrics else "rmse"), 1


def _explained(manifest: ModelManifest) -> str:
    """R², 0 for a model that always answers the mean; of another loss D², 0 for its best constant."""
    return "deviance_explained" if "test_deviance_explained" in manifest.metrics else "r2"


def _standard_error(score: float, rows: int, is_classification: bool) -> float:
    """How far the score of so few rows is from that of many, roughly; R² as for normal errors."""
    if rows == 0:
        return 0.0
    share = min(max(score, 0.0), 1.0)
    return math.sqrt((share * (1 - share) if is_classification else 4 * share * (1 - share) ** 2) / rows)


def _has(manifest: ModelManifest, names: list[str]) -> bool:
    return all(name in manifest.metrics for name in names)


def _show(manifest: ModelManifest, prefix: str, scores: tuple[str, ...], *, named: bool = True) -> str:
    shown = []
    for name in scores:
        value = manifest.metrics[f"{prefix}{name}"]
        # Rounded first, so that there is no "-0.000".
        digits = f"{value:.3g}" if name == "log_loss" else f"{round(value, 3) + 0.0:.3f}"
        shown.append(f"{shown_name(name)} {digits}" if named else digits)
    return ", ".join(shown)
