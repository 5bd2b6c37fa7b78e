"""The addresses that a host stands for, and whether they can be listened on."""

import errno
import ipaddress
import socket
from collections.abc import Sequence

from service.errors import StartupError

_ANY_IPV6 = "::"
# They are the machine's own, whatever its files and name servers say. Source: RFC 6761, section 6.3; as gRPC does.
_LOCALHOST = ("127.0.0.1", "::1")
# Another address of the same host may have been given the port that the first one got.
_ATTEMPTS = 20


def bind(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Sockets bound to every address of a host, one port for all; "::" takes IPv4 as well.

    An address that this machine has not, such as ::1 where IPv6 is off, is left out where there is another.

    Args:
        host: Address or host name.
        port: Port; 0 takes a free one.
        shared: Whether other sockets of this user may be bound to the port, if they say so too.

    Raises:
        OSError: None of the addresses is this machine's, or the port of one is taken.
    """
    addresses = _resolve(host)
    for attempt in range(_ATTEMPTS):
        try:
            return _bind_all(addresses, port, shared=shared)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def check_free(host: str, port: int) -> None:
    """Try an address before a library does, whose failure names no reason or fills the log.

    Args:
        host: Address or host name.
        port: Port; 0 is always free.

    Raises:
        StartupError: It cannot be listened on.
    """
    if port:
        addresses_for(host, port)


def addresses_for(host: str, port: int, *, shared: bool = False) -> tuple[list[str], int]:
    """The numeric addresses to listen on for gRPC, and the port; 0 where any will do.

    Args:
        host: Address or host name.
        port: Port; 0 takes a free one.
        shared: Whether other processes of this user may listen there already.

    Raises:
        StartupError: They cannot be listened on.
    """
    try:
        sockets = bind(host, port, shared=shared)
        try:
            for each in sockets if port and not shared else ():
                each.listen()
            addresses = [str(each.getsockname()[0]) for each in sockets]
            return addresses, port if len(sockets) == 1 else int(sockets[0].getsockname()[1])
        finally:
            for each in sockets:
                each.close()
    except OSError as error:
        reason = error.strerror or error
        raise StartupError(
            f"cannot listen for gRPC on {host}:{port}: {reason}{advise_on_port(error, '--grpc-port')}"
        ) from error


def advise_on_port(error: Exception, port_flag: str) -> str:
    """The end of a message about a port that is taken, or that the system keeps from this user; "" for another error.

    Args:
        error: Of the attempt to bind the port.
        port_flag: The flag of the port.
    """
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"; wanted a free port: choose one with {port_flag}"
    if not isinstance(error, OSError) or error.errno != errno.EACCES:
        return ""
    return (
        "; this user may not listen on so low a port: choose one from 1024 on with "
        f"{port_flag}, or give the process the capability CAP_NET_BIND_SERVICE"
    )


def is_public(host: str) -> bool:
    """Whether other machines may reach an address of the host; False where it has none."""
    try:
        addresses = _resolve(host)
    except OSError:
        return False
    return not all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in addresses)


def is_any_ipv6(address: str) -> bool:
    """Whether an address is that of every interface, for IPv6 and with it for IPv4."""
    return address == _ANY_IPV6


def _resolve(host: str) -> Sequence[str]:
    """Numeric addresses of a host, the likeliest first."""
    if host == "localhost":
        return _LOCALHOST
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:  # for what is no name
        raise OSError(str(error)) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _bind_all(addresses: Sequence[str], port: int, *, shared: bool) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for address in addresses:
            try:
                sockets.append(_bound(address, port, shared=shared))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                absent = error
                continue
            port = int(sockets[0].getsockname()[1])
        if not sockets and absent:
            raise absent
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return sockets


def _bound(address: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if is_any_ipv6(address) else 1)
        made.bind((address, port))
    except BaseException:
        made.close()
        raise
    return made
