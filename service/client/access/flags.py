"""Options of every command of kan-client: which server is called, and how the caller makes itself known."""

import argparse
import os
from typing import Final

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
_ACCESS_FLAGS: Final = {
    "ca": 'PEM file of the authorities that may have signed the server\'s certificate; turns TLS on. "public": those '
    "that gRPC trusts",
    "cert": "PEM file of the certificate to show to the server (mTLS)",
    "key": "PEM file of its private key",
    "token-file": "file that holds the bearer token; without it KAN_TOKEN is sent, if it is set",
}


def add_server(command: argparse.ArgumentParser) -> None:
    """Add the groups "the server" and "TLS and tokens"; after those of the command, which are read first."""
    server = command.add_argument_group("the server")
    server.add_argument(
        "--address",
        default=os.environ.get("KAN_ADDRESS", "127.0.0.1:8001"),
        metavar="HOST:PORT",
        help="address of the server; of several: IP:PORT,IP:PORT (default: %(default)s; environment: KAN_ADDRESS)",
    )
    server.add_argument(
        "--timeout-seconds",
        type=float,
        metavar="SECONDS",
        help=f"longest time of one call, with the waits that a quota or a full server asks for (default: "
        f"{DEFAULT_TIMEOUT_SECONDS:g}, without these waits)",
    )
    access = command.add_argument_group("TLS and tokens")
    for flag, text in _ACCESS_FLAGS.items():
        variable = f"KAN_{flag.upper().replace('-', '_')}"
        access.add_argument(
            f"--{flag}", default=os.environ.get(variable), metavar="FILE", help=f"{text} (environment: {variable})"
        )
    access.add_argument(
        "--server-name", metavar="NAME", help="name in the server's certificate, where the address has another"
    )
