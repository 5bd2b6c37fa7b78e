"""Contributions, baseline and unknown ground over the Open Inference Protocol: only where a request names them."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.protocols.explanation import INLINE_NUMBERS
from service.protocols.open_inference_codec import encode_infer
from tests.kit.callers.calls import ask_inference, failure_of, infer
from tests.kit.models.attributions import REFERENCE, add_attribution, contributions, scores
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Serving

_ROWS = np.array([[0.5, -1, 2.5, 0], [1, 1.5, 1, 1], [-3, 0.25, 0, 8]], np.float32)
_UNKNOWN = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 1]], np.bool_)
_DTYPES = {"FP32": np.dtype("<f4"), "BOOL": np.dtype(np.bool_)}


def _named(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def _raw(answer: Any, place: int) -> NDArray[Any]:
    tensor = answer.outputs[place]
    return np.frombuffer(answer.raw_output_contents[place], _DTYPES[tensor.datatype]).reshape(tensor.shape)


def test_they_come_in_the_order_of_the_request(serving: Serving, write_model: WriteModel) -> None:
    """Named outputs have numpy's numbers. Without names, and by the names of the metadata, the answer is as before."""
    add_attribution(write_model("classifier", change=with_ground()))

    async def check() -> None:
        async with serving() as (_, channel):
            metadata = await ask_inference(channel, "ModelMetadata", name="classifier")
            assert [each.name for each in metadata.outputs] == ["y", "label"]
            config = (await ask_inference(channel, "ModelConfig", name="classifier")).config
            assert [each.name for each in config.output] == ["y", "label"]
            listed = await infer(channel, "classifier", _ROWS, outputs=_named("y", "label"))
            assert [each.name for each in listed.outputs] == ["y", "label"]
            plain = await infer(channel, "classifier", _ROWS)
            assert [each.name for each in plain.outputs] == ["y"]
            outputs = _named("unknown_ground", "contributions", "y", "baseline", "label")
            answer = await infer(channel, "classifier", _ROWS, outputs=outputs)
            assert [(each.name, each.datatype, list(each.shape)) for each in answer.outputs] == [
                ("unknown_ground", "BOOL", [3, 4]),
                ("contributions", "FP32", [3, 3, 4]),
                ("y", "FP32", [3, 3]),
                ("baseline", "FP32", [3, 3]),
                ("label", "BYTES", [3, 1]),
            ]
            np.testing.assert_array_equal(_raw(answer, 0), _UNKNOWN)
            np.testing.assert_allclose(_raw(answer, 1), contributions("classifier", _ROWS), rtol=1e-5, atol=1e-6)
            assert answer.raw_output_contents[2] == plain.raw_output_contents[0]
            baseline = np.tile(scores("classifier", REFERENCE[np.newaxis]), (3, 1))
            np.testing.assert_allclose(_raw(answer, 3), baseline, rtol=1e-5)

    asyncio.run(check())


def test_typed_contents_have_the_same_values(serving: Serving, write_model: WriteModel) -> None:
    """A request with typed contents gets fp32_contents and bool_contents."""
    add_attribution(write_model("affine", change=with_ground()))

    async def check() -> None:
        async with serving() as (_, channel):
            contents = {"fp32_contents": _ROWS.ravel().tolist()}
            tensor = {"name": "x", "datatype": "FP32", "shape": [3, 4], "contents": contents}
            answer = await ask_inference(
                channel,
                "ModelInfer",
                model_name="affine",
                inputs=[tensor],
                outputs=_named("contributions", "unknown_ground"),
            )
            found = np.array(answer.outputs[0].contents.fp32_contents).reshape(answer.outputs[0].shape)
            np.testing.assert_allclose(found, contributions("affine", _ROWS), rtol=1e-5, atol=1e-6)
            assert list(answer.outputs[1].contents.bool_contents) == _UNKNOWN.ravel().tolist()

    asyncio.run(check())


def test_only_what_is_named_is_computed(serving: Serving, write_model: WriteModel) -> None:
    """Contributions alone run attribution.onnx alone, and count as no inference of the model; predictions likewise."""
    add_attribution(write_model("affine", change=with_ground()))

    async def check() -> None:
        async with serving() as (server, channel):

            def counted() -> tuple[float | None, float | None]:
                labels = {"model": "affine", "version": "1"}
                read = server.metrics.registry.get_sample_value
                return read("kan_request_rows_count", labels), read("kan_explained_rows_total", labels)

            async def run(*names: str) -> None:
                await infer(channel, "affine", _ROWS, outputs=_named(*names))

            await run("y")
            assert counted() == (1, None)
            await run("contributions", "unknown_ground")
            assert counted() == (1, 3)
            await run("unknown_ground")
            assert counted() == (1, 3)
            await run("baseline", "y")
            assert counted() == (2, 6)
            statistics = (await ask_inference(channel, "ModelStatistics", name="affine")).model_stats[0]
            assert statistics.inference_stats.success.count == statistics.inference_stats.compute_infer.count == 2

    asyncio.run(check())


def test_many_numbers_are_written_in_a_thread(
    serving: Serving, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed and raw, they have the same values as few; few are written on the event loop."""
    add_attribution(write_model("affine"))
    threads: list[bool] = []

    def write(*args: Any) -> None:
        threads.append(threading.current_thread() is not threading.main_thread())
        encode_infer(*args)

    monkeypatch.setattr("service.protocols.open_inference.encode_infer", write)
    rows = np.random.default_rng(7).normal(size=(INLINE_NUMBERS // 4 + 1, 4)).astype(np.float32)

    async def check() -> None:
        async with serving(max_request_rows=100_000, max_queue_rows=200_000) as (_, channel):
            await infer(channel, "affine", _ROWS, outputs=_named("contributions"))
            assert threads == [False]
            answer = await infer(channel, "affine", rows, outputs=_named("contributions"))
            assert threads == [False, True]
            np.testing.assert_allclose(_raw(answer, 0), contributions("affine", rows), rtol=1e-5, atol=1e-6)
            contents = {"fp32_contents": rows.ravel().tolist()}
            tensor = {"name": "x", "datatype": "FP32", "shape": rows.shape, "contents": contents}
            outputs = _named("contributions")
            typed = await ask_inference(channel, "ModelInfer", model_name="affine", inputs=[tensor], outputs=outputs)
            found = np.array(typed.outputs[0].contents.fp32_contents, np.float32).tobytes()
            assert found == answer.raw_output_contents[0]

    asyncio.run(check())


async def _failures(channel: Any, model: str, rows: NDArray[np.float32], requests: Sequence[Sequence[str]]) -> Any:
    return [await failure_of(infer(channel, model, rows, outputs=_named(*names))) for names in requests]


def test_what_a_version_does_not_have_is_told(serving: Serving, write_model: WriteModel) -> None:
    """Without attribution.onnx and without histograms: FAILED_PRECONDITION that says what to do. Twice: as before."""
    write_model("affine")
    add_attribution(write_model("classifier"))

    async def check() -> None:
        async with serving() as (_, channel):
            lacking = await _failures(
                channel, "affine", _ROWS, [["contributions"], ["y", "baseline"], ["unknown_ground"], ["nothing"]]
            )
            assert [code for code, _ in lacking] == [*["FAILED_PRECONDITION"] * 3, "INVALID_ARGUMENT"]
            assert all("kan-train tune models/affine/1" in message for _, message in lacking[:2])
            assert "no histograms" in lacking[2][1]
            assert "wanted one of ['y']" in lacking[3][1]
            twice = await _failures(channel, "classifier", _ROWS, [["contributions", "contributions"]])
            assert twice[0][0] == "INVALID_ARGUMENT"
            assert "twice" in twice[0][1]
            unknown = await _failures(channel, "classifier", _ROWS, [["nothing"]])
            assert "wanted one of ['y', 'label', 'contributions', 'baseline']" in unknown[0][1]

    asyncio.run(check())
