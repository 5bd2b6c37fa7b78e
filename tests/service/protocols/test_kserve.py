"""KServe's v1 form without a transport: its paths, and its bound."""

import asyncio
import json
from pathlib import Path

import pytest

from service.errors import AnswerTooLarge, InvalidRequest
from service.metrics.metrics import Metrics
from service.protocols import kserve, prediction
from service.registry.registry import Registry
from service.rpc.calls import RequestContext, Unary
from service.settings import Settings
from tests.kit.models.attributions import add_attribution
from tests.kit.models.repository import WriteModel


def _explain(registry: Registry, settings: Settings) -> Unary:
    methods = prediction.methods(registry, prediction.limits_of(settings))
    found = next(method for method in methods if method.path == prediction.EXPLAIN)
    assert isinstance(found, Unary)
    return found


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/:explain",
        "/v1/models/a/b:explain",
        "/v1/models/a:predict",
        "/v1/models/a:explain/",
        "/v1/models/a/versions/:explain",
        "/v2/models/a:explain",
        f"/v1/models/{'a' * 5000}:explain",
    ],
)
def test_other_paths_are_not_its_own(path: str, models: Path) -> None:
    """Only /v1/models/NAME:explain and /v1/models/NAME/versions/N:explain are KServe's."""
    settings = Settings(models=models)
    assert kserve.method_at(path, _explain(Registry(settings, Metrics()), settings), 4096) is None


def test_an_answer_that_takes_too_long_to_write_is_refused(models: Path, write_model: WriteModel) -> None:
    """20,000 rows of three classes are 1.4 MB of numbers: the error names gRPC. 10,000 rows are answered."""
    add_attribution(write_model("classifier"))
    settings = Settings(models=models, max_request_rows=20_000, max_queue_rows=40_000)

    async def check() -> None:
        registry = Registry(settings, Metrics())
        await registry.load_all()
        method = kserve.method_at(
            "/v1/models/classifier:explain", _explain(registry, settings), settings.max_request_rows
        )
        assert method is not None
        call = RequestContext()
        body = json.loads(await method.answer(call, json.dumps({"instances": [[1, 2, 3, 4]] * 10_000}).encode()))
        assert len(body["explanations"]) == 10_000
        assert (call.model, call.version) == ("classifier", "1")
        with pytest.raises(AnswerTooLarge, match="gRPC"):
            await method.answer(RequestContext(), json.dumps({"instances": [[1, 2, 3, 4]] * 20_000}).encode())
        await registry.close()

    asyncio.run(check())


def test_a_long_body_is_parsed_in_a_thread(models: Path, write_model: WriteModel) -> None:
    """The event loop goes on while 1 MB of cells is parsed; too many rows are refused by their number alone."""
    add_attribution(write_model("classifier"))
    settings = Settings(models=models, max_request_rows=100)

    async def check() -> None:
        registry = Registry(settings, Metrics())
        await registry.load_all()
        method = kserve.method_at("/v1/models/classifier:explain", _explain(registry, settings), 100)
        assert method is not None
        wide = json.dumps({"instances": [[1.5] * 2500] * 100}).encode()
        answering = asyncio.ensure_future(method.answer(RequestContext(), wide))
        await asyncio.sleep(0)
        assert not answering.done()
        with pytest.raises(InvalidRequest, match="features has 2500 columns"):
            await answering
        for field in ("instances", "reference"):
            rows = {"instances": [[1, 2, 3, 4]], field: [["no number"]] * 101}
            with pytest.raises(InvalidRequest, match=f"{field} has 101 rows; wanted 1 to 100"):
                await method.answer(RequestContext(), json.dumps(rows).encode())
        await registry.close()

    asyncio.run(check())
