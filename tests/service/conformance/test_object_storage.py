"""Models from a bucket: real kan-serve processes, and a real server that speaks S3 (moto's) on loopback."""

import asyncio
import importlib
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest

from service.client import Client
from service.errors import StorageError
from service.repository.storage import Storage
from tests.kit.callers.calls import failure_of, predict
from tests.kit.models.repository import WriteModel, move_weights
from tests.kit.server.kan_serve import KanServe, Start, run_kan_serve
from tests.kit.server.programs import free_ports
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.deploy, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

_BUCKET, _PREFIX = "models", "production"
_URL = f"s3://{_BUCKET}/{_PREFIX}"
_FLAGS = ("--models", _URL, "--poll-seconds", "0.2")
_ONES = np.ones((1, 4), np.float32)


class Bucket:
    """A bucket on moto's server. The server can be stopped and started again with the same content."""

    def __init__(self) -> None:
        self._server: Any = None
        self.port = free_ports(1)[0]
        self.come_back()
        # moto's state is the process's: what the test before put there goes.
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/reset", b"")).close()
        self.client = importlib.import_module("boto3").client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id="key", aws_secret_access_key="secret"
        )
        self.client.create_bucket(Bucket=_BUCKET)

    @property
    def endpoint(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def come_back(self) -> None:
        """Listen again on the same address."""
        moto = importlib.import_module("moto.server")
        self._server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def go_away(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def upload(self, folder: Path, *names: str) -> None:
        """A version's files, the manifest last; those named alone, where some are."""
        for name in names or ("model.onnx", "manifest.json"):
            self.put(f"{folder.parent.name}/{folder.name}/{name}", (folder / name).read_bytes())

    def put(self, path: str, content: bytes) -> None:
        """One object below the prefix."""
        self.client.put_object(Bucket=_BUCKET, Key=f"{_PREFIX}/{path}", Body=content)

    def remove(self, path: str) -> None:
        """One version."""
        for name in ("manifest.json", "model.onnx"):
            self.client.delete_object(Bucket=_BUCKET, Key=f"{_PREFIX}/{path}/{name}")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    """An empty bucket; kan-serve processes find it, and their cache, by the environment."""
    pytest.importorskip("moto")
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    place = Bucket()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_ENDPOINT_URL", place.endpoint),
        ("XDG_CACHE_HOME", str(tmp_path / "cache")),
    ):
        monkeypatch.setenv(name, value)
    yield place
    place.go_away()


@pytest.fixture
def upload(bucket: Bucket, write_model: WriteModel, models: Path) -> Callable[..., Path]:
    """Writes a version of "affine" and uploads it; call it with a number; gives its folder here."""

    def write(version: int) -> Path:
        folder = write_model("affine", version)
        bucket.upload(folder)
        return folder

    return write


def _answered(server: KanServe) -> tuple[int, float]:
    """The version that answers a row of ones, and its answer."""

    async def ask() -> tuple[int, float]:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            response = await predict(channel, "affine")
            return response.version, float(np.frombuffer(response.outputs[0].values.raw, "<f4")[0])

    return asyncio.run(ask())


def _seen(server: KanServe) -> float:
    """The time of the server's last scan without an error."""
    found = re.search(r"(?m)^kan_repository_seen_timestamp_seconds (\S+)$", server.get("/metrics")[1])
    assert found is not None
    return float(found[1])


def _cached(tmp_path: Path) -> list[str]:
    """The files in the cache, without its lock."""
    (root,) = (tmp_path / "cache" / "kan-serving").iterdir()
    files = (file for file in root.rglob("*") if file.is_file() and file.name != ".lock")
    return sorted(str(file.relative_to(root)) for file in files)


_FILES = ("manifest.json", "model.onnx", "stamp")


def test_a_bucket_is_served_and_followed(
    start: Start, bucket: Bucket, upload: Callable[..., Path], answer: Any, tmp_path: Path
) -> None:
    """Answers equal numpy's. A new version takes over; after its removal the previous one answers. All were cached."""
    upload(1)
    bucket.put("affine/1/report.html", b"for people")
    bucket.put("affine/config.pbtxt", b"for Triton")
    server = start(*_FLAGS)
    assert server.served == "affine/1"
    version, value = _answered(server)
    assert version == 1
    np.testing.assert_allclose(value, answer("affine", _ONES)[0, 0], rtol=1e-6)
    upload(2)
    wait_for(lambda: _answered(server)[0] == 2)
    assert _cached(tmp_path) == [f"affine/{version}/{file}" for version in (1, 2) for file in _FILES]
    bucket.remove("affine/2")
    wait_for(lambda: _answered(server)[0] == 1)
    code, log = server.stop()
    assert code == 0
    assert "Traceback" not in log


def test_a_broken_upload_is_refused_once(
    start: Start, bucket: Bucket, upload: Callable[..., Path], write_model: WriteModel
) -> None:
    """Half there it is waited for; with another sha256 it is refused and the old one answers; put right it is taken."""
    upload(1)
    server = start(*_FLAGS)
    half, broken = write_model("affine", 2), write_model("affine", 3)
    model = (half / "model.onnx").read_bytes()
    bucket.upload(half, "model.onnx")
    bucket.put("affine/3/model.onnx", model[:-1] + bytes([model[-1] ^ 1]))
    bucket.upload(broken, "manifest.json")
    labels = {"model": "affine", "version": "3", "reason": "checksum"}
    wait_for(lambda: server.sample("kan_model_refused_total", **labels) == 1)
    seen = _seen(server)
    wait_for(lambda: _seen(server) > seen + 0.5)
    assert server.sample("kan_model_refused_total", **labels) == 1
    assert _answered(server)[0] == 1
    assert server.is_ready()
    bucket.upload(half, "manifest.json")
    wait_for(lambda: _answered(server)[0] == 2)
    bucket.upload(broken, "model.onnx")
    wait_for(lambda: _answered(server)[0] == 3)
    _, log = server.stop()
    assert log.count("affine version 3 refused") == 1
    assert "affine version 2 refused" not in log


def test_weights_beside_the_model_come_from_the_bucket(
    start: Start, bucket: Bucket, upload: Callable[..., Path], write_model: WriteModel, answer: Any, tmp_path: Path
) -> None:
    """While the file is not there the version is refused, with the reason; then it answers, and both are cached."""
    upload(1)
    server = start(*_FLAGS)
    folder = write_model("affine", 2)
    move_weights(folder)
    bucket.upload(folder)
    wait_for(lambda: "weights.bin is absent" in _get_reasons(server))
    assert _answered(server)[0] == 1
    bucket.upload(folder, "weights.bin")
    wait_for(lambda: _answered(server)[0] == 2)
    np.testing.assert_allclose(_answered(server)[1], answer("affine", _ONES)[0, 0], rtol=1e-6)
    assert [name for name in _cached(tmp_path) if name.startswith("affine/2")] == [
        f"affine/2/{file}" for file in (*_FILES, "weights.bin")
    ]


def _get_reasons(server: KanServe) -> str:
    with Client(server.grpc) as client:
        return "\n".join(info.reason for info in client.models())


def test_storage_goes_away_and_comes_back(start: Start, bucket: Bucket, upload: Callable[..., Path]) -> None:
    """Loaded versions still answer, one error is logged, the metric stands still.

    Later new versions are found again.
    """
    upload(1)
    server = start(*_FLAGS)
    bucket.go_away()
    wait_for(lambda: time.time() - _seen(server) > 8)
    assert _answered(server)[0] == 1
    assert server.is_ready()
    bucket.come_back()
    upload(2)
    wait_for(lambda: _answered(server)[0] == 2)
    wait_for(lambda: time.time() - _seen(server) < 5)
    code, log = server.stop()
    assert code == 0
    reasons = re.findall("ERROR (.*); loaded models still answer", log)
    assert 0 < len(reasons) == len(set(reasons))
    assert "'s3://models/production' cannot be read" in log
    assert "repository is read again" in log


def test_a_restart_without_storage(start: Start, bucket: Bucket, upload: Callable[..., Path]) -> None:
    """The versions in the cache are served at once, and the server notices when the storage returns."""
    upload(1)
    first = start(*_FLAGS)
    assert first.stop()[0] == 0
    bucket.go_away()
    server = start(*_FLAGS)
    assert server.served == "affine/1"
    assert _answered(server)[0] == 1
    assert _seen(server) == 0
    bucket.come_back()
    upload(2)
    wait_for(lambda: _answered(server)[0] == 2)
    _, log = server.stop()
    assert log.count("cache holds is served") == 1


def test_a_first_start_without_storage(start: Start, bucket: Bucket, upload: Callable[..., Path]) -> None:
    """Live and not ready, with the reason; once the storage is there, it serves, without a restart."""
    upload(1)
    bucket.go_away()
    server = start(*_FLAGS, ready=False)
    assert server.get("/livez")[0] == 200
    status, reason = server.get("/readyz")
    assert status == 503
    assert "'s3://models/production' cannot be read" in reason
    bucket.come_back()
    wait_for(server.is_ready)


def test_a_bucket_that_is_not_there(bucket: Bucket, frontend: str) -> None:
    """A mistake: one line, and exit code 1."""
    done = run_kan_serve("s3://absent/production", "--frontend", frontend)
    assert (done.returncode, done.stdout) == (1, "")
    assert "'s3://absent/production' cannot be read" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_servers_share_a_cache(start: Start, upload: Callable[..., Path], tmp_path: Path) -> None:
    """Both find new versions, and neither removes a version that the other serves."""
    upload(1)
    upload(2)
    latest, pinned = start(*_FLAGS), start(*_FLAGS, "--versions", "affine=1")
    assert [_answered(one)[0] for one in (latest, pinned)] == [2, 1]
    upload(3)
    wait_for(lambda: _answered(latest)[0] == 3)
    seen = [_seen(one) for one in (latest, pinned)]
    wait_for(lambda: all(_seen(one) > before for one, before in zip((latest, pinned), seen, strict=True)))
    assert _answered(pinned)[0] == 1
    assert _cached(tmp_path) == [f"affine/{version}/{file}" for version in (1, 2, 3) for file in _FILES]


def test_more_models_than_fit_into_memory(
    start: Start, bucket: Bucket, write_model: WriteModel, tmp_path: Path
) -> None:
    """The first call downloads a model. One that was let go comes back from the cache, also without the storage."""
    for name in "abc":
        bucket.upload(write_model("affine", name=name))
    server = start(*_FLAGS, "--max-loaded-models", "1")
    assert server.served == "a/1,b/1,c/1"
    assert _cached(tmp_path) == []

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            for name in "ab":
                assert (await predict(channel, name)).version == 1
            bucket.go_away()
            assert (await predict(channel, "a")).version == 1
            code, _ = await failure_of(predict(channel, "c"))
            assert code == "UNAVAILABLE"
            bucket.come_back()
            assert (await predict(channel, "c")).version == 1

    asyncio.run(check())
    assert _cached(tmp_path) == [f"{name}/1/{file}" for name in "abc" for file in _FILES]
    assert server.sample("kan_model_ready") == 3
    bucket.upload(write_model("affine", 2, name="b"))
    bucket.remove("a/1")
    wait_for(lambda: server.sample("kan_model_ready", model="b", version="2") == 1)
    wait_for(lambda: server.sample("kan_model_ready", model="a") == 0)

    async def check_again() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            assert (await predict(channel, "b")).version == 2
            assert (await failure_of(predict(channel, "a")))[0] == "NOT_FOUND"

    asyncio.run(check_again())
    code, log = server.stop()
    assert (code, "Traceback" in log) == (0, False)


class _Slow(ThreadingHTTPServer):
    """Forwards requests to the bucket.

    Of the graph of version 2 it sends half, and then nothing until it is stopped.
    """

    daemon_threads = True

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.bucket_port = bucket.port
        self.half_sent, self.end = threading.Event(), threading.Event()


class _Passing(BaseHTTPRequestHandler):
    server: _Slow

    def do_GET(self) -> None:
        behind = HTTPConnection("127.0.0.1", self.server.bucket_port)
        behind.request("GET", self.path, headers=dict(self.headers.items()))
        answer = behind.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.path.endswith("/2/model.onnx"):
            self.wfile.write(body[: len(body) // 2])
            self.server.half_sent.set()
            self.server.end.wait()
            self.close_connection = True
        else:
            self.wfile.write(body)
        behind.close()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow(bucket: Bucket) -> Iterator[_Slow]:
    """The bucket by way of a slow network."""
    with _Slow(bucket) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.end.set()
        server.shutdown()
        thread.join()


def test_a_server_that_is_killed_in_the_middle_of_a_download(
    start: Start,
    bucket: Bucket,
    slow: _Slow,
    upload: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It answers during the download.

    After the kill the half version is never served, and the next start removes it.
    """
    upload(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{slow.server_port}")
    server = start(*_FLAGS)
    upload(2)
    assert slow.half_sent.wait(60)
    assert _answered(server)[0] == 1
    server.kill()
    assert any(file.startswith(".") for file in _cached(tmp_path))
    assert "affine/2/manifest.json" not in _cached(tmp_path)
    bucket.go_away()
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    again = start(*_FLAGS)
    assert again.served == "affine/1"
    assert _cached(tmp_path) == [f"affine/1/{file}" for file in _FILES]
    bucket.come_back()
    wait_for(lambda: _answered(again)[0] == 2)


def test_a_stop_does_not_wait_for_a_download(
    start: Start,
    slow: _Slow,
    upload: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGTERM while storage hangs ends the process with 0, and soon."""
    upload(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{slow.server_port}")
    server = start(*_FLAGS)
    upload(2)
    assert slow.half_sent.wait(60)
    server.process.terminate()
    code, _, log = server.finish(25)
    assert code == 0
    assert "Traceback" not in log


def test_storage_that_says_nothing_is_given_up(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that accepts connections and never answers delays the start only up to the time limit."""
    monkeypatch.setattr("service.repository.storage._LIST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(StorageError, match="no answer") as caught:
            Storage("s3://silent/production").list_files()
        assert caught.value.may_pass
        assert time.monotonic() - began < 60


def test_a_large_file_comes_in_pieces(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By ranges of the object, as the server has them."""
    monkeypatch.setattr("service.repository.storage._PIECE_BYTES", 2**16)
    content = np.random.default_rng(0).bytes(2**18 + 7)
    bucket.put("affine/1/model.onnx", content)
    place = Storage(_URL)
    (path, file), *others = place.list_files().items()
    assert (path, file.size_bytes, others) == ("affine/1/model.onnx", len(content), [])
    place.fetch(path, file.size_bytes, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
