"""Explain of PredictionService against numpy: answers, references, bounds and errors."""

import asyncio
import re
from typing import Any

import grpc.aio
import numpy as np
from numpy.typing import NDArray

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.callers.calls import ask, failure_of, infer, matrix, predict
from tests.kit.models.attributions import REFERENCE, add_attribution, contributions, scores
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import WriteModel, read_manifest, write_manifest
from tests.kit.server.kan_serve import Serving

_ROWS = np.array([[0.5, -1, 2, 0], [1, 1, 1, 1], [-3, 0.25, 0, 8]], np.float32)


def explain(channel: grpc.aio.Channel, model: str, rows: NDArray[np.float32], **fields: Any) -> Any:
    """Call Explain with rows; keywords are more fields of the request."""
    return ask(channel, "Explain", model=model, features=matrix(rows), **fields)


def _numbers(found: pb.Matrix) -> NDArray[np.float32]:
    values = np.frombuffer(found.raw, "<f4") if found.raw else np.array(found.values, np.float32)
    return values.reshape(found.rows, found.columns)


def test_the_contributions_are_numpys(serving: Serving, write_model: WriteModel) -> None:
    """Names, numbers, id and version; the scores of classes; the manifest's reference row or the caller's."""
    add_attribution(write_model("classifier", version=3))

    async def check() -> None:
        async with serving() as (_, channel):
            for reference in (None, _ROWS[1:2], _ROWS[::-1]):
                fields = {} if reference is None else {"reference": matrix(np.ascontiguousarray(reference))}
                answer = await explain(channel, "classifier", _ROWS, id="a7", **fields)
                assert (answer.id, answer.model, answer.version) == ("a7", "classifier", 3)
                assert list(answer.columns) == ["x0", "x1", "x2", "x3"]
                assert [each.output for each in answer.contributions] == ["red", "green", "blue"]
                assert answer.explains_scores
                found = np.stack([_numbers(each.values) for each in answer.contributions], axis=1)
                np.testing.assert_allclose(found, contributions("classifier", _ROWS, reference), rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(_numbers(answer.explained), scores("classifier", _ROWS), rtol=1e-5)
                baseline = _numbers(answer.baseline)
                right = scores("classifier", REFERENCE[np.newaxis] if reference is None else reference)
                np.testing.assert_allclose(baseline, right, rtol=1e-5)
                np.testing.assert_allclose(found.sum(axis=2), _numbers(answer.explained) - baseline, atol=1e-5)
                assert answer.compute_seconds > 0

    asyncio.run(check())


def test_numbers_come_in_the_form_of_the_request(serving: Serving, write_model: WriteModel) -> None:
    """Rows as a list of numbers get lists, with the same numbers as rows as bytes."""
    add_attribution(write_model("affine"))

    async def check() -> None:
        async with serving() as (_, channel):
            raw = await explain(channel, "affine", _ROWS)
            readable = pb.Matrix(rows=3, columns=4, values=_ROWS.ravel().tolist())
            listed = await ask(channel, "Explain", model="affine", features=readable)
            assert not listed.contributions[0].values.raw
            assert raw.contributions[0].values.raw
            assert raw.contributions[0].output == "y"
            assert not raw.explains_scores
            np.testing.assert_array_equal(
                _numbers(listed.contributions[0].values), _numbers(raw.contributions[0].values)
            )

    asyncio.run(check())


_NAN = np.full((1, 4), np.nan, np.float32)
_MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"features": matrix(_ROWS[:, :3])}, "INVALID_ARGUMENT", "features has 3 columns"),
    ({"features": matrix(_NAN)}, "INVALID_ARGUMENT", "features: row 0, column 0 ('x0') is nan"),
    ({"features": matrix(np.zeros((9, 4), np.float32))}, "INVALID_ARGUMENT", "9 rows"),
    ({"reference": matrix(_ROWS[:1, :3])}, "INVALID_ARGUMENT", "reference has 3 columns; model 'affine' wants 4"),
    ({"reference": matrix(_NAN)}, "INVALID_ARGUMENT", "reference: row 0, column 0 ('x0') is nan"),
    ({"reference": matrix(_ROWS[:2])}, "INVALID_ARGUMENT", "reference has 2 rows; wanted 1 or 3"),
    (
        {"features": matrix(_ROWS[:1]), "reference": matrix(_ROWS[:2])},
        "INVALID_ARGUMENT",
        "reference has 2 rows; wanted 1",
    ),
    ({"reference": pb.Matrix()}, "INVALID_ARGUMENT", "reference has 0 columns"),
    (
        {"reference": pb.Matrix(rows=1, columns=4, raw=bytes(16), values=[0.0] * 4)},
        "INVALID_ARGUMENT",
        "reference has both raw and values",
    ),
    ({"reference": pb.Matrix(rows=1, columns=4, raw=bytes(12))}, "INVALID_ARGUMENT", "reference.raw: 12 bytes"),
    ({"reference": pb.Matrix(rows=1, columns=4, values=[0.0])}, "INVALID_ARGUMENT", "reference.values holds 1"),
    ({"priority": 7}, "INVALID_ARGUMENT", "priority is 7"),
    ({"version": -1}, "INVALID_ARGUMENT", "version is -1"),
    ({"version": 9}, "NOT_FOUND", "no version 9"),
    ({"model": "absent"}, "NOT_FOUND", "absent"),
    ({"model": "imputed", "features": matrix(_ROWS[:, :2])}, "FAILED_PRECONDITION", "kan-train tune models/imputed/1"),
]


def test_what_does_not_fit_gets_its_status(serving: Serving, write_model: WriteModel) -> None:
    """Each error has its status and says what was wanted, and is counted. The server answers after each."""
    add_attribution(write_model("affine"))
    write_model("imputed")

    async def check() -> None:
        async with serving(max_request_rows=8) as (server, channel):
            for change, code, message in _MISTAKES:
                fields = {"model": "affine", "features": matrix(_ROWS), **change}
                status = await failure_of(ask(channel, "Explain", **fields))
                assert status[0] == code, status
                assert message in status[1]
                assert (await explain(channel, "affine", _ROWS)).version == 1
            bare: Any = channel.unary_unary("/kan_api.v1.PredictionService/Explain")
            assert (await failure_of(bare(b"\xff\xff")))[0] == "INVALID_ARGUMENT"
            labels = {"model": "imputed", "version": "1", "protocol": "kan_api", "code": "FAILED_PRECONDITION"}
            assert server.metrics.registry.get_sample_value("kan_requests_total", labels) == 1
            explained = {"model": "affine", "version": "1"}
            rows = server.metrics.registry.get_sample_value("kan_explained_rows_total", explained)
            assert rows == 3 * len(_MISTAKES)
            assert server.metrics.registry.get_sample_value("kan_request_rows_count", explained) == 0

    asyncio.run(check())


def test_a_reference_on_unknown_ground_is_refused_as_rows_are(serving: Serving, write_model: WriteModel) -> None:
    """Where the model's policy is "refuse": the message names the cell of the reference. Others take it."""
    add_attribution(write_model("affine", change=with_ground("refuse")))
    add_attribution(write_model("classifier", change=with_ground("flag")))
    known, unknown = np.zeros((1, 4), np.float32), np.array([[0, 0, 0, 500]], np.float32)

    async def check() -> None:
        async with serving() as (_, channel):
            code, message = await failure_of(explain(channel, "affine", known, reference=matrix(unknown)))
            assert code == "INVALID_ARGUMENT"
            assert message.startswith("reference: 1 of 1 rows lies on unknown ground")
            assert 'row 0, column "x3" is 500' in message
            await explain(channel, "affine", known, reference=matrix(known))
            answer = await explain(channel, "classifier", known, reference=matrix(unknown))
            assert answer.ground.unknown_cells == 0, "of the rows alone"

    asyncio.run(check())


def test_a_manifest_with_a_wrong_reference_row_is_told(serving: Serving, write_model: WriteModel) -> None:
    """Too short or absent, for one row and for several: FAILED_PRECONDITION, and predictions go on."""
    for name, length in (("affine", 2), ("imputed", 0)):
        folder = write_model(name)
        add_attribution(folder)
        manifest = read_manifest(folder)
        del manifest.attribution_graph.reference[length:]
        write_manifest(folder, manifest)

    async def check() -> None:
        async with serving() as (_, channel):
            for model, width in (("affine", 4), ("imputed", 2)):
                for rows in (1, 3):
                    code, message = await failure_of(explain(channel, model, _ROWS[:rows, :width].copy()))
                    assert (code, "reference values" in message) == ("FAILED_PRECONDITION", True), message
                assert (await predict(channel, model, _ROWS[:, :width].copy())).version == 1

    asyncio.run(check())


def test_an_answer_larger_than_a_message_is_refused_before_it_is_computed(
    serving: Serving, write_model: WriteModel
) -> None:
    """The error says how many rows fit, and that many are answered, also if all their cells are unknown."""
    add_attribution(write_model("classifier", change=with_ground()))

    async def check() -> None:
        async with serving(max_message_bytes=2**16) as (_, channel):
            rows = np.full((700, 4), 1.5, np.float32)
            code, message = await failure_of(explain(channel, "classifier", rows))
            found = re.search(r"send at most (\d+) rows", message)
            assert found is not None, message
            assert code == "RESOURCE_EXHAUSTED"
            most = int(found[1])
            answer = await explain(channel, "classifier", rows[:most])
            assert (len(_numbers(answer.explained)), answer.ground.unknown_rows) == (most, most)
            assert most > 100
            named = [{"name": name} for name in ("y", "label", "contributions", "baseline", "unknown_ground")]
            assert len((await infer(channel, "classifier", rows[:most], outputs=named)).outputs) == 5

    asyncio.run(check())


def test_a_large_request_is_explained_in_a_thread(serving: Serving, write_model: WriteModel) -> None:
    """100,000 rows, with the copies made in a thread: the contributions and unknown cells are those of each row."""
    add_attribution(write_model("affine", change=with_ground()))
    rows = np.random.default_rng(6).normal(size=(100_000, 4)).astype(np.float32)

    async def check() -> None:
        async with serving(max_request_rows=100_000, max_queue_rows=200_000) as (_, channel):
            answer = await explain(channel, "affine", rows)
            right = contributions("affine", rows)[:, 0]
            np.testing.assert_allclose(_numbers(answer.contributions[0].values), right, rtol=1e-5, atol=1e-6)
            named = await infer(channel, "affine", rows, outputs=[{"name": "unknown_ground"}])
            assert sum(named.raw_output_contents[0]) == answer.ground.unknown_cells > 1000

    asyncio.run(check())


def test_bulk_and_many_callers_at_once(serving: Serving, write_model: WriteModel) -> None:
    """Fifty callers, half of them in bulk, half with a reference of their own, each get their own contributions."""
    add_attribution(write_model("affine"))
    rows = np.random.default_rng(4).normal(size=(50, 3, 4)).astype(np.float32)

    async def check() -> None:
        async with serving() as (_, channel):

            async def one(place: int) -> None:
                reference = rows[place, :1] if place % 4 < 2 else None
                fields = {} if reference is None else {"reference": matrix(reference)}
                answer = await explain(channel, "affine", rows[place], priority=place % 2, **fields)
                np.testing.assert_allclose(
                    _numbers(answer.contributions[0].values),
                    contributions("affine", rows[place], reference)[:, 0],
                    rtol=1e-5,
                    atol=1e-6,
                )

            await asyncio.gather(*(one(place) for place in range(50)), predict(channel, "affine", _ROWS))

    asyncio.run(check())
