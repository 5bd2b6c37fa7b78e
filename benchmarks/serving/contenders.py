"""Start the servers of the serving benchmark, all at once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.common import servers
from benchmarks.common.served_models import ServedModel
from benchmarks.common.servers import Server
from benchmarks.serving.loads import Load


def server_name(front_end: str) -> str:
    """The name of our server with the small model in the tables."""
    return f"ours, {front_end}"


def slow_name(front_end: str, *, batched: bool) -> str:
    """The name of our server with the slow model in the tables."""
    return f"ours, {front_end}, {'batched' if batched else 'unbatched'}"


@contextmanager
def contenders(
    loads: Sequence[Load],
    model: ServedModel,
    slow_model: ServedModel,
    front_ends: Sequence[str],
    peers: Mapping[str, Path],
) -> Iterator[list[tuple[Server, ServedModel]]]:
    """Start every server that gets one of the loads; yields each with the model that it serves.

    Args:
        loads: The loads to run.
        model: The small model, which most servers serve.
        slow_model: The model of servers with the role "slow".
        front_ends: Front ends of our server.
        peers: The Python interpreter of each peer, by name.

    Raises:
        ServerError: a server does not start, or gives a wrong answer.
    """
    roles = {role for load in loads for role in load.roles}
    with ExitStack() as stack:
        up = [
            (stack.enter_context(servers.ours(server_name(front_end), "ours", model, front_end)), model)
            for front_end in front_ends
            if "ours" in roles
        ]
        up += [(stack.enter_context(servers.echo(name)), model) for name in servers.ECHOES if "echo" in roles]
        up += [(stack.enter_context(servers.peer(name, python, model)), model) for name, python in peers.items()]
        for front_end in front_ends if "slow" in roles else ():
            for batched in (True, False):
                flags = () if batched else ("--max-batch-rows", "1")
                name = slow_name(front_end, batched=batched)
                server = stack.enter_context(servers.ours(name, "slow", slow_model, front_end, *flags))
                up.append((server, slow_model))
        yield up
