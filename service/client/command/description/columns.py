"""What a model wants and answers, as a table for people: its columns, what they held in training, gaps."""

import datetime
import math
from collections.abc import Iterator

from kan_api.network_text import image_text
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, Column, Feature, ModelManifest
from service.client.command.answer_table import table_lines
from service.client.errors import list_names


def column_lines(manifest: ModelManifest) -> Iterator[str]:
    r"""The lines of the table, each with its "\n".

    Args:
        manifest: of the model.
    """
    names = list(manifest.targets) or [manifest.target]
    target = list_names(names) if any(names) else "a prediction"
    kind = f"one of {list_names(list(manifest.classes))}" if manifest.task == TASK_CLASSIFICATION else "a number"
    kind = "a number each" if manifest.targets else kind
    loss, quantile = manifest.objective.loss, manifest.objective.quantile
    kind += f" (the {quantile:g} quantile)" if loss == "quantile" else " (the median)" if loss == "mae" else ""
    rows_of = f"images of {image_text(manifest)}" if manifest.image_shape else "rows with these columns"
    yield f"{manifest.name} version {manifest.version} answers {target}, {kind}, to {rows_of}:\n"
    yield "\n"
    if manifest.image_shape:
        yield from _image_lines(manifest)
    columns = list(manifest.columns)
    if manifest.image_shape:
        rows = [[f"{columns[0].name} to {columns[-1].name}", *_describe_pixels(manifest)]]
    else:
        rows = [[each.name, _describe_cells(each, manifest), _describe_gaps(each, manifest)] for each in columns]
    yield from table_lines(["column", "holds", "an empty cell"], rows, [False] * 3)


def _image_lines(manifest: ModelManifest) -> Iterator[str]:
    """What an image is, and how it is sent as a row."""
    shape = ", ".join(map(str, manifest.image_shape))
    pixels = len(manifest.features)
    yield f"An image of channels, height, width = {shape} is a row of {pixels} pixels: all of a channel\n"
    yield f"row by row, then the next channel. The Open Inference Protocol takes rows of [{shape}] too. The columns:\n"
    yield "\n"


def _describe_pixels(manifest: ModelManifest) -> tuple[str, str]:
    """What all pixels hold, and what an empty one is."""
    pixels = manifest.features
    low, high = min(each.low for each in pixels), max(each.high for each in pixels)
    is_filled = all(each.HasField("imputed") for each in pixels)
    gaps = "is filled in, as in training" if is_filled else "gives no answer"
    return f"{len(pixels)} numbers, {low:.6g} to {high:.6g} in training", gaps


def _describe_cells(column: Column, manifest: ModelManifest) -> str:
    if column.HasField("statistics"):
        return "words, any"
    if column.HasField("date"):
        first, last = column.date.first_day, _last_day(column, manifest)
        return f"dates ({column.date.format}), {first} to {last} in training"
    if column.categories:
        other = ", or any other" if column.unseen_is_other else ""
        return f"words: {list_names([word for word in column.categories if word])}{other}"
    feature = _feature_of(column, manifest)
    return f"numbers, {feature.low:.6g} to {feature.high:.6g} in training"


def _describe_gaps(column: Column, manifest: ModelManifest) -> str:
    if "" in (column.statistics.words if column.HasField("statistics") else column.categories):
        return "is a word of its own"
    if column.HasField("statistics"):
        return "counts as another word"
    if column.categories:
        return "counts as another word" if column.unseen_is_other else "gives no answer"
    feature = _feature_of(column, manifest)
    if not feature.HasField("imputed"):
        return "gives no answer"
    told = ", and the network is told of the gap" if feature.has_gap_input else ""
    if column.HasField("date"):
        first_day = datetime.date.fromisoformat(column.date.first_day)
        return f"counts as {first_day + datetime.timedelta(days=feature.imputed)}{told}"
    return f"counts as {feature.imputed:.6g}{told}"


def _last_day(column: Column, manifest: ModelManifest) -> datetime.date:
    """The last day of training; the first feature of a date counts the days from the first one."""
    first_day = datetime.date.fromisoformat(column.date.first_day)
    return first_day + datetime.timedelta(days=math.floor(_feature_of(column, manifest).high))


def _feature_of(column: Column, manifest: ModelManifest) -> Feature:
    return next((feature for feature in manifest.features if feature.column == column.name), Feature())
