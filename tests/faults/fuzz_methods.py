"""Coverage-guided fuzzing of every unary method, in this process: ``python fuzz_methods.py MODELS CORPUS [-flags]``.

The first byte of an input chooses the method, the others are the request. Ends with an error at the first answer that
is INTERNAL or UNKNOWN, at an exception that is no status, and where memory that our code holds goes on growing.
"""

import asyncio
import gc
import sys
import tracemalloc
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["service"]):
    from service.metrics.metrics import Metrics
    from service.protocols import open_inference, prediction, triton
    from service.protocols.health import Health
    from service.registry.registry import Registry
    from service.rpc import calls
    from service.rpc.status import Code, RpcError
    from service.settings import Settings

_LONGEST_ANSWER_BYTES = 2**24
# Names of models, label sets and the like are made within the first inputs.
_FIRST_COUNT, _MOST_GROWTH_BYTES = 2000, 256 * 1024
_OURS = [tracemalloc.Filter(True, f"*/{folder}/*") for folder in ("service", "kan_api", "open_inference", "google")]


class Target:
    """The methods of a server of one repository, without a front end."""

    def __init__(self, models: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._metrics = Metrics()
        settings = Settings(models=models, max_request_rows=64, poll_seconds=0)
        registry = Registry(settings, self._metrics)
        self._loop.run_until_complete(registry.load_all())
        methods = calls.table(
            [
                *prediction.methods(registry, prediction.limits_of(settings)),
                *open_inference.methods(registry, 64),
                *triton.methods(registry, 64),
                *Health(registry, (prediction.SERVICE, open_inference.SERVICE)).methods(),
            ]
        )
        self.methods = [method for _, method in sorted(methods.items()) if isinstance(method, calls.Unary)]
        self._inputs = 0
        self._held_bytes = 0

    def __call__(self, data: bytes) -> None:
        """Throw one input."""
        method = self.methods[data[0] % len(self.methods) if data else 0]
        try:
            self._loop.run_until_complete(
                calls.invoke(method, calls.RequestContext(), data[1:], self._metrics, _LONGEST_ANSWER_BYTES)
            )
        except RpcError as error:
            if error.code in (Code.INTERNAL, Code.UNKNOWN):
                raise AssertionError(f"{method.path} answered {error.code.name} to {data[1:]!r}") from error
        self._inputs += 1
        if self._inputs == _FIRST_COUNT:
            self._held_bytes = _held_bytes()
        elif self._inputs % (4 * _FIRST_COUNT) == 0:
            grown = _held_bytes() - self._held_bytes
            assert grown <= _MOST_GROWTH_BYTES, f"{grown} bytes more are held after {self._inputs} inputs"


def _held_bytes() -> int:
    """What our code and protobuf's hold."""
    gc.collect()
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(_OURS).traces)


def main() -> None:
    """Fuzz until libFuzzer's flags say that it is enough."""
    program, models, *arguments = sys.argv
    target = Target(Path(models))
    print(*(method.path for method in target.methods), flush=True)  # noqa: T201 - for who started this
    tracemalloc.start()
    atheris.Setup([program, *arguments], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
