"""What trained a version, as HTML: its table, its features, and of an imported one its files."""

from collections.abc import Iterator

from kan_api.network_text import monotone_text
from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from training.report.page import number, paragraph, table, verbatim

_MOST_FEATURES = 200
_ATTRIBUTION = (
    "Attribution: how far the answers to the training rows move if the feature alone takes the value of another row, "
    "as a share of how far the answers to two rows lie apart. At 0 the feature moves no answer; the shares of "
    "independent features add up to 1 or more."
)
_COLUMNS = (
    "The features of one column are drawn one at a time here, which makes rows that do not occur, such as a row of two "
    "words. The column as a whole:"
)


def data_table(manifest: ModelManifest) -> str:
    """The table: its name, its rows by part, its fingerprint."""
    data = manifest.data
    judged = "of these, rows that judged the fit before the refit"
    tested = "of these, rows that tested the fit before the refit"
    chose = judged if data.validation_trained else "rows that chose the network"
    counts = {
        "rows that trained": data.train_rows,
        chose: data.validation_rows,
        tested if data.refit else "rows that tested it": data.test_rows,
        "rows left out": data.dropped_rows,
    }
    # For an imported network a count of 0 means that it is not known; without rows that chose, answers out of fold did.
    is_known = not (manifest.HasField("origin") or data.refit)
    shown = {name: count for name, count in counts.items() if count or (is_known and name != chose)}
    text = ""
    if data.source:
        rows = [["table", data.source], *([name, f"{count:,}"] for name, count in shown.items())]
        rows += [["rows count by column", manifest.objective.weights]] if manifest.objective.weights else []
        text = table([], [*rows, ["fingerprint", data.fingerprint]], numbers=False)
    if not data.train_rows:
        text += paragraph("The rows that trained it are not known; the ranges below are those of its first grids.")
    return text


def feature_table(manifest: ModelManifest) -> str:
    """The features: range, what is promised, what fills a gap, attribution."""
    features = manifest.features[:_MOST_FEATURES]
    rows = [[each.name, number(each.low), number(each.high), _remark(manifest, each)] for each in features]
    head = ["feature", "lowest", "highest", ""]
    if any(feature.HasField("attribution") for feature in features):
        head.append("attribution")
        for feature, row in zip(features, rows, strict=True):
            row.append(number(feature.attribution))
    more = len(manifest.features) - len(features)
    text = table(head, rows) + (paragraph(f"and {more:,} more") if more else "")
    if "attribution" not in head:
        return text
    whole = [[each.name, number(each.attribution)] for each in manifest.columns if each.HasField("attribution")]
    columns = paragraph(_COLUMNS) + table(["column", "attribution"], whole[:_MOST_FEATURES]) if whole else ""
    return text + paragraph(_ATTRIBUTION) + columns


def _remark(manifest: ModelManifest, feature: Feature) -> str:
    if feature.constant:
        return "constant"
    promise = monotone_text(manifest, feature)
    if not feature.HasField("imputed"):
        return promise
    told = ", and the network is told" if feature.has_gap_input else ""
    return f"{promise}{'; ' * bool(promise)}{number(feature.imputed)} where missing{told}"


def origin(manifest: ModelManifest) -> Iterator[str]:
    """The files and the command of an import."""
    origin = manifest.origin
    yield paragraph(f"{origin.kind} trained it; its files do not tell how. The files were:")
    rows = [[file.name, f"{file.size_bytes:,}", file.sha256] for file in origin.files]
    yield table(["file", "bytes", "sha256"], rows, numbers=False)
    yield paragraph("Imported by:")
    yield verbatim(origin.command)
