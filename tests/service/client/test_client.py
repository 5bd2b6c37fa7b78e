"""The Python client against a kan-serve in a process of its own."""

import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kan_api.v1 import manifest_pb2
from service.client import (
    Client,
    ClientError,
    DeadlineExceeded,
    Health,
    InvalidInput,
    ModelInfo,
    NotFound,
    Unavailable,
)
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.kan_serve import KanServe, Start, serving
from tests.kit.server.programs import free_ports

Floats = NDArray[np.float32]
Answer = Callable[[str, Floats], Floats]

ROWS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def words(manifest: manifest_pb2.ModelManifest) -> None:
    """Turn four numbers into a number that may be missing and a word of three."""
    del manifest.columns[:], manifest.features[:]
    manifest.columns.add(name="weight")
    manifest.columns.add(name="colour", categories=["red", "blue", ""])
    manifest.features.add(name="weight", column="weight", imputed=7.0, high=1.0)
    for word in ("red", "blue", ""):
        manifest.features.add(name=f"colour={word}", column="colour", category=word, high=1.0)


def backwards(manifest: manifest_pb2.ModelManifest) -> None:
    """Take the columns in the other order."""
    columns, features = list(manifest.columns)[::-1], list(manifest.features)[::-1]
    del manifest.columns[:], manifest.features[:]
    manifest.columns.extend(columns)
    manifest.features.extend(features)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine (version 2), classifier, imputed and paint, which takes words; the tests share it."""
    folder = tmp_path_factory.mktemp("shared")
    models = folder / "models"
    write_version(models, "affine", version=2)
    write_version(models, "classifier")
    write_version(models, "imputed")
    write_version(models, "classifier", name="paint", change=words)
    with serving(models, log=folder / "log") as started:
        yield started


def test_numbers_in_numbers_out(server: KanServe, answer: Answer) -> None:
    """Probabilities and values equal numpy's. A flat list is one row, and NaN is allowed for an imputed feature."""
    with Client(server.grpc) as client:
        got = client.predict("classifier", ROWS)
        wanted = answer("classifier", ROWS)
        np.testing.assert_allclose(got.values, wanted, atol=1e-6)
        assert (got.model, got.version, list(got.outputs)) == ("classifier", 1, ["y"])
        assert got.values.dtype == np.float32
        assert got.labels == tuple(["red", "green", "blue"][place] for place in wanted.argmax(axis=1))
        assert got.compute_seconds > 0

        flat = client.predict("affine", [1, 2, 3, 4])
        np.testing.assert_allclose(flat.values, answer("affine", np.array([[1, 2, 3, 4]], np.float32)), atol=1e-5)
        assert flat.labels is None
        np.testing.assert_allclose(client.predict("imputed", [[np.nan, 3.0]]).values, [[4.0]])


def test_rows_by_name(server: KanServe, answer: Answer) -> None:
    """Dicts and DataFrames go by column name in any order; words and missing cells are encoded as the model wants."""
    with Client(server.grpc) as client:
        records: list[dict[str, object]] = [{"colour": "blue", "weight": 2.5}, {"weight": "1", "colour": None, "id": 3}]
        wanted = answer("classifier", np.array([[2.5, 0, 1, 0], [1, 0, 0, 1]], np.float32))
        np.testing.assert_allclose(client.predict("paint", records).values, wanted, atol=1e-6)
        np.testing.assert_allclose(client.predict("paint", records[0]).values, wanted[:1], atol=1e-6)

        frame = pd.DataFrame(ROWS[:, ::-1], columns=["x3", "x2", "x1", "x0"])
        np.testing.assert_allclose(client.predict("affine", frame).values, answer("affine", ROWS), atol=1e-5)

        with pytest.raises(InvalidInput, match=r'rows\[1\].*"pink"'):
            client.predict("paint", [records[0], {"weight": 1, "colour": "pink"}])
        with pytest.raises(InvalidInput, match=r"rows\[0\] lacks"):
            client.predict("paint", [{"weight": 1}])


def test_more_rows_than_one_request_holds(server: KanServe, answer: Answer) -> None:
    """The answers to a hundred thousand rows come in order, all from one version."""
    rows = np.random.default_rng(1).normal(size=(100_000, 4))
    with Client(server.grpc) as client:
        got = client.predict("affine", rows, timeout_seconds=60)
    assert got.version == 2
    np.testing.assert_allclose(got.values, answer("affine", rows.astype(np.float32)), atol=1e-4)


def test_models_are_listed_and_versions_chosen(server: KanServe) -> None:
    """None is the latest."""
    with Client(server.grpc) as client:
        assert client.predict("affine", ROWS).version == 2
        assert client.predict("affine", ROWS, version=2).version == 2
        assert client.manifest("affine").version == client.manifest("affine", 2).version == 2
        assert client.manifest("paint").columns[1].categories == ["red", "blue", ""]
        assert client.models() == [
            ModelInfo("affine", 2, "ready", "regression", 4, True, ""),
            ModelInfo("classifier", 1, "ready", "classification", 4, True, ""),
            ModelInfo("imputed", 1, "ready", "regression", 2, True, ""),
            ModelInfo("paint", 1, "ready", "classification", 4, True, ""),
        ]


def test_what_the_server_refuses(server: KanServe) -> None:
    """Each refusal is an error of its own, with the status and the server's words."""
    with Client(server.grpc) as client:
        with pytest.raises(NotFound, match="unknown") as unknown:
            client.predict("nope", ROWS)
        assert unknown.value.code is grpc.StatusCode.NOT_FOUND
        with pytest.raises(NotFound):
            client.predict("affine", ROWS, version=9)
        with pytest.raises(InvalidInput, match="refused") as width:
            client.predict("affine", ROWS[:, :3])
        assert width.value.code is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(InvalidInput):
            client.predict("affine", [[np.nan, 1, 2, 3]])
        with pytest.raises(InvalidInput, match="got shape"):
            client.predict("affine", [])


def test_health_of_the_server_and_of_a_model(server: KanServe) -> None:
    """As grpc.health.v1 has it; a model that is not there is an error."""
    with Client(server.grpc) as client:
        assert client.health() is Health.SERVING
        assert client.health("affine") is Health.SERVING
        with pytest.raises(NotFound):
            client.health("nope")


def test_threads_may_share_a_client(server: KanServe, answer: Answer) -> None:
    """Every thread gets the answers to its own rows."""
    wrong = []
    with Client(server.grpc) as client:

        def ask(seed: int) -> None:
            for _ in range(20):
                rows = np.random.default_rng(seed).normal(size=(seed + 1, 4)).astype(np.float32)
                if not np.allclose(client.predict("classifier", rows).values, answer("classifier", rows), atol=1e-5):
                    wrong.append(seed)

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_new_server_with_other_inputs_is_noticed(kan_serve: Start, write_model: WriteModel, answer: Answer) -> None:
    """A client that outlives a server reconnects by itself and encodes for the new server's manifest."""
    record = {"x0": 1.0, "x1": 2.0, "x2": 3.0, "x3": 4.0}
    write_model("affine")
    server = kan_serve()
    with Client(server.grpc) as client:
        first = client.predict("affine", record)
        server.kill()
        write_model("affine", version=2, change=backwards)
        kan_serve("--grpc-port", server.grpc.rsplit(":", 1)[1], "--allow-incompatible", "affine")
        second = client.predict("affine", record)
    assert (first.version, second.version) == (1, 2)
    np.testing.assert_allclose(first.values, answer("affine", np.array([[1, 2, 3, 4]], np.float32)), atol=1e-5)
    np.testing.assert_allclose(second.values, answer("affine", np.array([[4, 3, 2, 1]], np.float32)), atol=1e-5)


@contextlib.contextmanager
def forwarding(to: str, cut: int, cut_after_bytes: int = 0, *, silent: bool = False) -> Iterator[tuple[str, list[int]]]:
    """A TCP forwarder that cuts the first connections after some bytes, or says nothing on them.

    Gives its address and a count of connections.
    """
    host, _, port = to.rpartition(":")
    came = [0]
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def pump(source: socket.socket, sink: socket.socket, most_bytes: float = float("inf")) -> None:
            passed = 0
            with contextlib.suppress(OSError):
                while passed < most_bytes and (data := source.recv(2**16)):
                    sink.sendall(data)
                    passed += len(data)
            for ended in (sink, source):
                with contextlib.suppress(OSError):
                    ended.shutdown(socket.SHUT_RDWR)

        def accept() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                came[0] += 1
                most_bytes = cut_after_bytes if came[0] <= cut else float("inf")
                if not most_bytes:
                    if silent:
                        stack.enter_context(caller)
                    else:
                        caller.close()
                    continue
                callee = socket.create_connection((host, int(port)))
                ways = ((caller, callee, most_bytes), (callee, caller))
                pumps = [threading.Thread(target=pump, args=way) for way in ways]
                for thread in pumps:
                    thread.start()
                for thread in pumps:
                    thread.join()
                caller.close()
                callee.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}", came
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_call_is_sent_again_when_the_connection_is_cut(server: KanServe, answer: Answer) -> None:
    """Two cut connections are not noticed by the caller."""
    with forwarding(server.grpc, cut=2) as (address, came):
        with Client(address) as client:
            got = client.predict("affine", ROWS)
        assert came[0] == 3
    np.testing.assert_allclose(got.values, answer("affine", ROWS), atol=1e-5)


def test_a_call_of_megabytes_is_sent_again_too(server: KanServe) -> None:
    """The retry reaches the server, which refuses that many columns with an error of its own."""
    with forwarding(server.grpc, cut=2, cut_after_bytes=10**6) as (address, came):
        with Client(address) as client, pytest.raises(InvalidInput, match="refused"):
            client.predict("affine", np.ones((4000, 1000)))
        assert came[0] == 3


@pytest.mark.slow
def test_a_server_that_says_nothing_is_asked_again_until_the_deadline(server: KanServe, answer: Answer) -> None:
    """Connections are made, and nothing comes on them, as from a stopped worker: the next one is answered, long
    after the attempts of gRPC are over. With a single attempt the error says that somebody listens.
    """

    def ask_once() -> str:
        with forwarding(server.grpc, cut=9, silent=True) as (address, _), Client(address, max_attempts=1) as client:
            with pytest.raises(Unavailable) as silent:
                client.predict("affine", ROWS, timeout_seconds=60)
            return str(silent.value).replace(address, "it")

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_once)
        with forwarding(server.grpc, cut=3, silent=True) as (address, came), Client(address) as client:
            got = client.predict("affine", ROWS, timeout_seconds=60)
            assert came[0] == 4  # one of them was the look whether TLS differs
        np.testing.assert_allclose(got.values, answer("affine", ROWS), atol=1e-5)
        assert asking.result().startswith("it takes connections and says nothing: ")


def test_nobody_there_is_told_within_seconds() -> None:
    """The message has the address and advice."""
    (port,) = free_ports(1)
    began = time.monotonic()
    with Client(f"127.0.0.1:{port}") as client, pytest.raises(Unavailable) as nobody:
        client.predict("digits", [[1.0]])
    assert str(nobody.value).startswith(f"no server at 127.0.0.1:{port}: is kan-serve running?")
    assert nobody.value.code is grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - began < 8


def test_a_server_that_says_nothing_is_left_at_the_deadline() -> None:
    """The call ends at its deadline, for each way to set the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with Client(address, timeout_seconds=0.2) as client:
            with pytest.raises(DeadlineExceeded, match="no answer"):
                client.models()
            with pytest.raises(DeadlineExceeded, match="no answer"):
                client.predict("digits", [[1.0]], timeout_seconds=0.1)


def test_another_grpc_server_is_told_apart() -> None:
    """A server without our service is named as such."""
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with Client(f"127.0.0.1:{port}") as client, pytest.raises(ClientError, match="kan-serve") as other:
                client.models()
        finally:
            server.stop(None).wait()
    assert other.value.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("address", ["localhost", ":8001", "localhost:", "http://localhost:8001", "a:b", ""])
def test_an_address_has_a_host_and_a_port(address: str) -> None:
    """The mistake is found before any call."""
    with pytest.raises(ValueError, match="host:port"):
        Client(address)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_timeout_is_a_positive_number(seconds: float) -> None:
    """No call is ever without an end."""
    with pytest.raises(ValueError, match="timeout_seconds"):
        Client("127.0.0.1:1", timeout_seconds=seconds)
    with Client("127.0.0.1:1") as client, pytest.raises(ValueError, match="timeout_seconds"):
        client.models(timeout_seconds=seconds)


@pytest.mark.parametrize("version", ["2", "", 2.5, 0.0, [2], 2**63])
def test_a_version_is_a_whole_number(version: Any) -> None:
    """Each method that takes a version refuses another value before any call, and says what came and what is wanted."""
    wanted = re.escape(f"version is {version!r}, wanted a whole number as in version=3, or None for the latest")
    with Client("127.0.0.1:1") as client:
        for ask in (
            lambda: client.predict("affine", ROWS, version),
            lambda: client.explain("affine", ROWS, version),
            lambda: client.manifest("affine", version),
            lambda: list(client.predict_stream("affine", [ROWS], version)),
        ):
            with pytest.raises(ValueError, match=wanted):
                ask()


def test_a_version_may_be_a_number_of_numpy(server: KanServe) -> None:
    """A cell of a DataFrame is one."""
    with Client(server.grpc) as client:
        version: Any = np.int64(2)
        assert client.predict("affine", ROWS, version).version == 2


@pytest.mark.parametrize(
    "imports",
    [
        "import service.client, tritonclient.grpc",
        "import tritonclient.grpc, service.client",
        "import service.client, tritonclient.grpc.aio",
        "import tritonclient.grpc.aio, service.client",
        "import service.client.cli; service.client.cli.main",
    ],
)
def test_the_client_imports_beside_tritonclient_and_little_else(imports: str) -> None:
    """Both register messages in one protobuf pool, so our client must not import open_inference, nor server code."""
    forbidden = "{'open_inference', 'onnxruntime', 'prometheus_client', 'pydantic', 'grpc_health.v1', 'torch', 'rich'}"
    code = f"{imports}\nimport sys\nassert not {forbidden} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
