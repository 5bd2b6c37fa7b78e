"""The cost of TLS and of mTLS with a token, on kept connections of servers that differ in nothing else.

Three kan-serves of one model run side by side: plain, with TLS, and with mTLS and a token file. Handshakes are not part
of the numbers. Each server must refuse a call that lacks what it asks for, or there is no number.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc

from benchmarks.common import servers
from benchmarks.common.http2 import PLAIN, Security
from benchmarks.common.served_models import PREDICT, ServedModel
from benchmarks.common.servers import Server, ServerError
from benchmarks.common.side_by_side import Asked, Plan, measure_rounds
from service.access.new_token import make_token
from tests.kit.server.certificates import Authority

WANTED_HALF_WIDTH = 1.0
# All tokens of a file are compared with that of a call.
TOKENS = 10


@dataclass(frozen=True)
class Kind:
    """One way to protect a server.

    Attributes:
        name: In the table.
        flags: Of the server.
        security: Of its callers.
        lacking: By name, callers that lack something, and the status that each must get.
    """

    name: str
    flags: Sequence[str] = ()
    security: Security = PLAIN
    lacking: Sequence[tuple[str, Security, grpc.StatusCode]] = ()


@dataclass(frozen=True)
class Cost:
    """The cost of one kind.

    Attributes:
        kind: Its name.
        percent: Processor time of a request, above that of the plain server; the trimmed mean over the rounds.
        half_width: Of the 95 % interval of `percent`.
        rounds: Number of rounds.
        seconds: The mean processor time of a request.
        plain_seconds: The same of the plain server.
        tls: Version and cipher of the connection that was measured.
        refused: The calls that must be refused, with the code of each refusal.
    """

    kind: str
    percent: float
    half_width: float
    rounds: int
    seconds: float
    plain_seconds: float
    tls: str
    refused: str


def measure_cost(front_end: str, model: ServedModel, folder: Path, plan: Plan) -> list[Cost]:
    """Measure the cost of each kind but the plain one.

    Args:
        front_end: Of all servers.
        model: What they serve.
        folder: An empty folder for certificates and tokens.
        plan: How many rounds there are.

    Raises:
        ServerError: A server did not refuse a call that lacks what it asks for.
    """
    kinds = _kinds(folder)
    tls, refused = [""] * len(kinds), [""] * len(kinds)

    def start(stack: ExitStack) -> list[Asked]:
        found = []
        for place, kind in enumerate(kinds):
            server = stack.enter_context(
                servers.ours(kind.name, "ours", model, front_end, *kind.flags, security=kind.security)
            )
            refused[place] = ", ".join(_refusal(server, model, *each) for each in kind.lacking)
            found.append(Asked(stack, server, model, kind.security))
            tls[place] = found[-1].tls
        return found

    times = measure_rounds(f"access, {front_end}", start, plan)
    return [
        Cost(
            kinds[place].name,
            *times.above_first(place),
            len(times.rounds),
            times.seconds(place),
            times.seconds(0),
            tls[place],
            refused[place],
        )
        for place in range(1, len(kinds))
    ]


def _kinds(folder: Path) -> Sequence[Kind]:
    """The kinds, the plain one first; the files that they need are made."""
    authority, callers = Authority(folder), Authority(folder, "callers")
    server, caller = authority.issue("server"), callers.issue("caller")
    tokens = folder / "tokens.toml"
    token = [make_token([f"caller-{number}", str(tokens)], ()).text for number in range(TOKENS)][TOKENS // 2]
    tls = ("--tls-cert", str(server.cert), "--tls-key", str(server.key))
    both = Security(authority.file, caller.cert, caller.key, token)
    return (
        Kind("plain"),
        Kind(
            "TLS",
            tls,
            Security(authority.file),
            [("in plain text", PLAIN, grpc.StatusCode.UNAVAILABLE)],
        ),
        Kind(
            "mTLS + token",
            (*tls, "--tls-client-ca", str(callers.file), "--tokens", str(tokens)),
            both,
            [
                ("no certificate", Security(authority.file, token=token), grpc.StatusCode.UNAVAILABLE),
                ("no token", replace(both, token=""), grpc.StatusCode.UNAUTHENTICATED),
                ("wrong token", replace(both, token=token[::-1]), grpc.StatusCode.UNAUTHENTICATED),
            ],
        ),
    )


def _refusal(server: Server, model: ServedModel, name: str, security: Security, wanted: grpc.StatusCode) -> str:
    """Make sure that a caller is refused, with grpc's own client."""
    code = grpc.StatusCode.OK
    with security.channel(server.address) as channel:
        ask: Any = channel.unary_unary(PREDICT)
        try:
            ask(model.exchanges("predict", 1, 1)[0].request, timeout=10, metadata=security.metadata)
        except grpc.RpcError as error:
            code = error.code()
    if code is not wanted:
        raise ServerError(f"{server.name}: a call with {name} got {code.name}; wanted {wanted.name}")
    return f"{name}: {code.name}"
