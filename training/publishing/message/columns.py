"""The columns of a table in the manifest, written and read again."""

import datetime

from kan_api.v1 import manifest_pb2 as pb
from training.data.encoding import Column
from training.data.target_statistics import Statistics


def column_message(column: Column) -> pb.Column:
    """The column for a manifest."""
    message = pb.Column(name=column.name, categories=column.categories, unseen_is_other=column.takes_other)
    if (statistics := column.statistics) is not None:
        values = [number for numbers in statistics.values for number in numbers]
        message.statistics.CopyFrom(pb.TargetStatistics(words=statistics.words, values=values, prior=statistics.prior))
    if column.first_day is not None:
        message.date.CopyFrom(pb.DateEncoding(format=column.date_format, first_day=column.first_day.isoformat()))
    return message


def columns_of_manifest(manifest: pb.ModelManifest) -> tuple[Column, ...]:
    """The columns as the version encodes them."""
    return tuple(_read_column(manifest, column) for column in manifest.columns)


def _read_column(manifest: pb.ModelManifest, column: pb.Column) -> Column:
    if column.HasField("date"):
        first_day = datetime.date.fromisoformat(column.date.first_day)
        return Column(column.name, date_format=column.date.format, first_day=first_day)
    if not column.HasField("statistics"):
        return Column(column.name, tuple(column.categories), column.unseen_is_other)
    found, width = column.statistics, len(column.statistics.prior)
    values = tuple(tuple(found.values[place : place + width]) for place in range(0, len(found.values), width))
    labels = tuple(feature.category for feature in manifest.features if feature.column == column.name)
    statistics = Statistics(tuple(found.words), values, tuple(found.prior), labels if width > 1 else ())
    return Column(column.name, by_target=True, statistics=statistics)
