"""The two ways of docs/architecture.md: from a table to a published version, and from a request to its answer."""

from collections.abc import Sequence

from docs.generate.drawings.svg import Drawing

# The words in each box: what happens, then the room where it does.
_TRAINING = (
    ("Read", "rows, columns,", "split", "training.data"),
    ("Fit", "grid after grid,", "finer each time", "training.fitting"),
    ("Simplify", "prune, formulas,", "where asked", "training.steps"),
    ("Lower", "the network as", "an ONNX graph", "kan_model.lowering"),
    ("Verify", "against float64;", "too far: refused", "training.publishing"),
    ("Publish", "the next version,", "by one rename", "training.publishing"),
)
# Down: what happens, the room, and the status of a request that ends there.
_DOWN = (
    ("Front end: bytes, deadline", "service.frontends", ""),
    ("Admission: calls, streams, bytes", "service.rpc", "RESOURCE_EXHAUSTED"),
    ("Method", "service.protocols", "UNIMPLEMENTED"),
    ("Lease: a version that answers", "service.registry", "NOT_FOUND, UNAVAILABLE"),
    ("Decode: every field checked", "service.protocols", "INVALID_ARGUMENT"),
    ("Queue: rows, bounded", "service.batching", "RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED"),
    ("Run: one batch, many requests", "service.registry.model", "INTERNAL"),
)
_PLAIN, _FILE = "#eef2f8", "#f5edd8"


def training_way() -> str:
    """Boxes from left to right in two lines, files at both ends."""
    width, height, gap, top, columns = 170, 92, 26, 24, 4
    files = (("recipe.toml", "data.csv"), ("models/NAME/1", "model.onnx", "manifest.json", "report.html"))
    steps: Sequence[tuple[Sequence[str], str]] = [
        (files[0], _FILE),
        *((words, _PLAIN) for words in _TRAINING),
        (files[1], _FILE),
    ]
    line = height + 2 * gap
    drawing = Drawing(columns * (width + gap) + gap, 2 * top + height + line, "From a table to a published version")
    for place, (words, colour) in enumerate(steps):
        x, y = gap + place % columns * (width + gap), top + place // columns * line
        drawing.box(x, y, width, height, colour)
        drawing.words(x + width / 2, y + 24, words, size=13)
        if place % columns:
            drawing.arrow((x - gap, y + height / 2), (x - 1, y + height / 2))
        elif place:
            last, middle = x + (columns - 1) * (width + gap) + width / 2, y - gap
            drawing.arrow((last, middle - gap), (last, middle), (x + width / 2, middle), (x + width / 2, y - 1))
    return drawing.text()


def request_way() -> str:
    """Boxes from the top down, the statuses of requests that end early on the right, the answer on the left."""
    width, height, gap, left, top = 300, 44, 16, 175, 20
    bottom = top + len(_DOWN) * (height + gap) - gap
    drawing = Drawing(left + width + 360, bottom + top, "From a request to its answer")
    for place, (words, room, status) in enumerate(_DOWN):
        y = top + place * (height + gap)
        drawing.box(left, y, width, height, _PLAIN)
        drawing.words(left + width / 2, y + 18, [words, room])
        if place:
            drawing.arrow((left + width / 2, y - gap), (left + width / 2, y - 1))
        if status:
            drawing.arrow((left + width, y + height / 2), (left + width + 30, y + height / 2))
            drawing.words(left + width + 38, y + height / 2 + 4, ["", status][1:], size=12, centred=False)
    drawing.words(60, top + 18, ["Caller"])
    drawing.arrow((90, top + 14), (left - 1, top + 14))
    middle = bottom - height / 2
    drawing.arrow((left, middle), (60, middle), (60, top + 28))
    drawing.words(70, middle - 26, ["Answer", "encoded again"], centred=False)
    return drawing.text()
