"""The calls that explain the answers to some rows, all with one version of a model."""

from kan_api.explained_rows import most_explained_rows
from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import ModelManifest
from service.client.connection import Rpc, Steps
from service.client.encoding.other_words import OtherWords
from service.client.encoding.rows import Matrix
from service.client.errors import InvalidInput, Overloaded
from service.client.explanations import Explanation, join_explanations
from service.client.limits import Limits
from service.client.streaming.chunks import of_version, to_message
from service.client.streaming.conversation import CallerRows, Conversation, RowsLike, encode_rows, read_rows
from service.client.streaming.pace import Pace


def explain(
    conversation: Conversation,
    model: str,
    rows: RowsLike,
    reference: RowsLike | None,
    version: int | None,
    bulk: bool,
) -> Steps[Explanation]:
    """Explain the answers to the rows; arguments and errors as those of `Client.explain`."""
    caller_rows = read_rows(rows)
    caller_reference = None if reference is None else _read_reference(reference, len(caller_rows))

    def send(manifest: ModelManifest, pinned: int | None) -> Steps[tuple[int, Explanation]]:
        others = OtherWords()
        matrix = encode_rows(manifest, caller_rows, others)
        base = None if caller_reference is None else _encode_reference(manifest, caller_reference)
        chunk_rows = _chunk_rows(conversation.limits, manifest, base)
        answers = yield from _chunk_explanations(model, matrix, base, pinned, bulk, chunk_rows)
        shared = base is None or len(base) == 1
        return answers[0].version, join_explanations(answers, len(matrix), shared, others.cells)

    given = [caller_rows] if caller_reference is None else [caller_rows, caller_reference]
    _, explanation = yield from conversation.by_one_version(model, version, send, given)
    return explanation


def _read_reference(reference: RowsLike, rows: int) -> CallerRows:
    try:
        found = read_rows(reference)
    except InvalidInput as error:
        raise InvalidInput(f"reference: {error}") from error
    if len(found) not in (1, rows):
        raise InvalidInput(f"reference has {len(found)} rows; wanted 1, or {rows} as there are rows")
    return found


def _encode_reference(manifest: ModelManifest, reference: CallerRows) -> Matrix:
    try:
        return encode_rows(manifest, reference, OtherWords())
    except InvalidInput as error:
        raise InvalidInput(f"reference: {error}") from error


def _chunk_rows(limits: Limits, manifest: ModelManifest, reference: Matrix | None) -> int:
    """Rows of one request: those that fit into it, and whose explanations fit into the answer."""
    sent = len(manifest.features) * (1 if reference is None or len(reference) == 1 else 2)
    return max(1, min(limits.shared_rows(sent), most_explained_rows(manifest, limits.message_bytes)))


def _chunk_explanations(
    model: str, matrix: Matrix, reference: Matrix | None, version: int | None, bulk: bool, chunk_rows: int
) -> Steps[list[pb.ExplainResponse]]:
    """The answers to all rows in order, all from the version that answered first.

    One request is in flight at a time, as in `chunks.chunk_answers`, whose arguments and errors these are.
    """
    answers: list[pb.ExplainResponse] = []
    pace, start = Pace(chunk_rows), 0
    while start < len(matrix):
        chunk = matrix[start : start + pace.rows]
        request = pb.ExplainRequest(
            model=model,
            version=answers[0].version if answers else version or 0,
            features=to_message(chunk),
            priority=pb.PRIORITY_BULK if bulk else pb.PRIORITY_UNSPECIFIED,
        )
        if reference is not None:
            own = reference if len(reference) == 1 else reference[start : start + len(chunk)]
            request.reference.CopyFrom(to_message(own))
        rpc = Rpc("/kan_api.v1.PredictionService/Explain", request, pb.ExplainResponse)
        try:
            answers.append((yield from (of_version(rpc.answer) if request.version else rpc.answer())))
        except Overloaded as error:
            yield pace.count_refusal(error)
        else:
            pace.count_answer()
            start += len(chunk)
    return answers
