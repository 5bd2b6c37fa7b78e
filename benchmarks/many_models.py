"""What ten thousand models cost a server that may hold 120 of them in memory.

    python -m benchmarks.many_models

A server lists 10,000 model folders: at most 5 s from its start until it is ready, and at most 200 MB. Then 100 hot
models get calls by a schedule, and one cold model a second gets its first call. No call fails, and the 99th percentile
of the hot calls is at most 1.5 times that of a server that holds only the hot models. Both servers run side by side and
get the load in turn.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import psutil

from benchmarks.common import servers
from benchmarks.common.load_job import Exchange, Job
from benchmarks.common.load_process import LoadProcess
from benchmarks.common.markdown import render
from benchmarks.common.served_models import NAME, PREDICT, ServedModel, small
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict
from kan_api.v1 import prediction_pb2

_HOT, _BOUND = 100, 120
_COLD_DEADLINE_SECONDS = 5.0
_MOST_SECONDS, _MOST_MEGABYTES, _MOST_RATIO = 5.0, 200.0, 1.5


def main() -> int:
    """Measure, and print tables. Gives 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_models", description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=10_000, help="model folders (default: 10000)")
    parser.add_argument("--rounds", type=int, default=21, help="rounds of the loads (default: 21)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one load (default: 10)")
    parser.add_argument("--rate", type=float, default=200.0, help="hot calls a second (default: 200)")
    parser.add_argument("--frontend", choices=servers.FRONT_ENDS, default="grpcio", help="front end (default: grpcio)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        model = small(Path(folder) / "one")
        names = [NAME, *(f"m{number:05}" for number in range(1, options.models))]
        many = _copies(model, Path(folder) / "many", names)
        few = _copies(model, Path(folder) / "few", names[:_HOT])
        began = time.monotonic()
        flags = ("--max-loaded-models", str(_BOUND))
        bounded = stack.enter_context(servers.ours("many", "ours", many, options.frontend, *flags, is_asked=False))
        seconds, megabytes = time.monotonic() - began, _megabytes(bounded.pid)
        alone = stack.enter_context(servers.ours("few", "ours", few, options.frontend))
        load = stack.enter_context(LoadProcess())
        exchanges = _exchanges(model, names[:_HOT])
        load.run(_job(bounded, exchanges[:1], rate=10.0, seconds=0.2))
        after_call = _megabytes(bounded.pid)
        p99: dict[str, list[float]] = {"many": [], "few": []}
        cold = _ColdCalls(bounded.address, exchanges[0], names[_HOT:])
        load.run(_job(bounded, exchanges, rate=options.rate, seconds=2.0))
        for _ in range(options.rounds):
            p99["few"].append(load.run(_job(alone, exchanges, rate=options.rate, seconds=options.seconds)).p99_seconds)
            with cold.once_a_second():
                result = load.run(_job(bounded, exchanges, rate=options.rate, seconds=options.seconds))
            p99["many"].append(result.p99_seconds)
        after = _megabytes(bounded.pid)
    print(surroundings("python -m benchmarks.many_models", ("grpcio", "onnxruntime")))
    ratios = [many / few for many, few in zip(p99["many"], p99["few"], strict=True)]
    rows = [
        ["seconds until the server is ready", f"{seconds:.2f}"],
        ["memory then, MB", f"{megabytes:.0f}"],
        ["memory after the first call, MB", f"{after_call:.0f}"],
        ["memory at the end, MB", f"{after:.0f}"],
        ["cold calls", f"{len(cold.seconds)}"],
        ["median of a cold call, ms", f"{1e3 * statistics.median(cold.seconds):.1f}"],
        ["slowest cold call, ms", f"{1e3 * max(cold.seconds):.1f}"],
        ["p99 of hot calls, only these models, ms", f"{1e3 * statistics.median(p99['few']):.2f}"],
        ["p99 of hot calls beside cold calls, ms", f"{1e3 * statistics.median(p99['many']):.2f}"],
        ["quartiles of their ratio", " / ".join(f"{each:.2f}" for each in statistics.quantiles(ratios, n=4))],
    ]
    print(render([[f"{options.models} models, {options.frontend}", "measured"], *rows]))
    for failure in cold.failures[:3]:
        print(failure)
    return _judge(options.frontend, seconds, megabytes, len(cold.failures), statistics.median(ratios))


@dataclass
class _ColdCalls:
    """First calls to models, each to the next one."""

    address: str
    exchange: Exchange
    names: Sequence[str]
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def once_a_second(self) -> Iterator[None]:
        """Call one model a second, in a thread, during the block."""
        ended = threading.Event()
        caller = threading.Thread(target=self._call_until, args=(ended,))
        caller.start()
        try:
            yield
        finally:
            ended.set()
            caller.join()

    def _call_until(self, ended: threading.Event) -> None:
        with grpc.insecure_channel(self.address) as channel:
            ask: Any = channel.unary_unary(PREDICT)
            while not ended.wait(1.0):
                count = len(self.seconds) + len(self.failures)
                request = _for_model(self.exchange, self.names[count % len(self.names)]).request
                began = time.monotonic()
                try:
                    ask(request, timeout=_COLD_DEADLINE_SECONDS)
                except grpc.RpcError as error:
                    self.failures.append(str(error))
                else:
                    self.seconds.append(time.monotonic() - began)


def _copies(model: ServedModel, repository: Path, names: Sequence[str]) -> ServedModel:
    """A repository that has the model under each of these names; its files are links, but for the manifests."""
    version = model.path.parent
    manifest = (version / "manifest.json").read_text()
    for name in names:
        folder = repository / name / "1"
        folder.mkdir(parents=True)
        for file in version.iterdir():
            if file.name == "manifest.json":
                (folder / file.name).write_text(manifest.replace(f'"name": "{NAME}"', f'"name": "{name}"', 1))
            else:
                os.link(file, folder / file.name)
    return replace(model, repository=repository, path=repository / NAME / "1" / "model.onnx")


def _exchanges(model: ServedModel, names: Sequence[str]) -> tuple[Exchange, ...]:
    """One request for each model."""
    plain = model.exchanges("predict", 1, len(names))
    return tuple(_for_model(exchange, name) for exchange, name in zip(plain, names, strict=True))


def _for_model(exchange: Exchange, name: str) -> Exchange:
    request = prediction_pb2.PredictRequest.FromString(exchange.request)
    request.model = name
    return replace(exchange, request=request.SerializeToString())


def _job(server: servers.Server, exchanges: tuple[Exchange, ...], **load: Any) -> Job:
    return Job(*(server.address, server.pid, PREDICT, "predict", exchanges), callers=1, **load)


def _megabytes(pid: int) -> float:
    """Memory of a server's processes. Pages of a file that several of them map are counted once.

    The sum of resident memory counts such pages for each process. The proportional set size (PSS) counts too little
    where other servers on the machine map the same files.
    """
    parent = psutil.Process(pid)
    anonymous, of_files = 0, dict[str, int]()
    for process in (parent, *parent.children(recursive=True)):
        for mapped in process.memory_maps(grouped=True):
            anonymous += mapped.anonymous
            of_files[mapped.path] = max(of_files.get(mapped.path, 0), mapped.rss - mapped.anonymous)
    return (anonymous + sum(of_files.values())) / 1e6


def _judge(frontend: str, seconds: float, megabytes: float, failures: int, ratio: float) -> int:
    """Print whether the bounds hold."""
    verdicts = [
        Verdict(frontend, "seconds until ready", "", seconds, _MOST_SECONDS, at_most=True),
        Verdict(frontend, "MB then", "", megabytes, _MOST_MEGABYTES, at_most=True),
        Verdict(frontend, "failed cold calls", "", failures, 0, at_most=True),
        Verdict(frontend, "p99 of hot calls, with cold calls over without", "1 row", ratio, _MOST_RATIO, at_most=True),
    ]
    for each in verdicts:
        word = "holds" if each.keeps(each.must) else "DOES NOT HOLD"
        print(f"{each.what}: {each.measured:.2f}, at most {each.must:g}: {word}")
    return 0 if all(each.keeps(each.must) for each in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
