"""How the TLS of a port and of a client differ: a look at a port that no connection could be made to."""

import http.client
import socket
import ssl
import threading
import time
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Final

from service.access.validity import first_certificate, read_validity
from service.client.access.access import TLS
from service.client.channel import NAME_OF_SEVERAL, ip_version
from service.client.errors import ClientError, NotConnected

# A look connects and then shakes hands: the longest time of one step, and the longest that a call waits for the look.
_PROBE_SECONDS, _WAIT_SECONDS = 1.0, 2.0
# How long the result of a look is used.
_KEPT_SECONDS = 30.0
# OpenSSL's codes for a certificate of another host or IP address, and for one that is not valid yet or has expired.
_WRONG_NAME, _WRONG_TIME = (62, 64), (9, 10)
_HTTP_PORT = "does not speak gRPC: it is the HTTP port of a kan-serve, for metrics and probes; its line says both ports"


class PortLook:
    """Tells how the TLS of a port and of this client differ if no connection can be made: gRPC does not tell it.

    A look is one more connection, to the first server, in a thread of its own. There is at most one in 30 s, and none
    after the first answer: then the TLS fits, and the server has other troubles. Any thread may call.

    A name such as localhost may have several addresses, with a server at one. If gRPC tells that another one refused,
    the look takes the first address that accepts.

    Args:
        address: the servers, as messages name them.
        tls: the client's.
    """

    def __init__(self, address: str, tls: TLS | None) -> None:
        host, _, port = address.split(",")[0].removeprefix(NAME_OF_SEVERAL).rpartition(":")
        self._address: Final = address
        self._host, self._port, self._tls = host.strip("[]"), int(port) if port.isdecimal() else 0, tls
        self._is_name: Final = ip_version(self._host) is None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._next_at = 0.0
        self._why = ""
        self._is_over = False

    def end(self) -> None:
        """Look no more: a server has answered."""
        self._is_over = True

    def explained(self, error: ClientError, seconds_left: float) -> ClientError:
        """The error, or one that says how TLS differs, if that is known within the seconds that are left."""
        if self._is_over or not isinstance(error, NotConnected) or not seconds_left:
            return error
        if not error.is_reachable and not (error.is_refused and self._is_name):
            return error
        with self._lock:
            if self._thread is None or time.monotonic() >= self._next_at:
                self._next_at = time.monotonic() + _KEPT_SECONDS
                self._thread = threading.Thread(target=self._look, name="look at a port", daemon=True)
                self._thread.start()
            thread = self._thread
        thread.join(min(seconds_left, _WAIT_SECONDS))
        return NotConnected(f"{self._address} {self._why}") if self._why else error

    def _look(self) -> None:
        self._why = _difference(self._host, self._port, self._tls)


def _difference(host: str, port: int, tls: TLS | None) -> str:
    """How the TLS of a port and of a client differ; "" if that cannot be known."""
    misfit, distrust = "and this client do not fit: the port", "and this client do not trust each other: the server"
    speaks_tls = hangs_up = False
    alert = ""
    try:
        with (
            socket.create_connection((host, port), _PROBE_SECONDS) as plain,
            _context(tls).wrap_socket(plain, server_hostname=(tls and tls.server_name) or host) as secure,
        ):
            speaks_tls = True
            # Nothing is sent: a server that has hung up would reset the connection, and its alert could be lost.
            hangs_up = not secure.recv(1)
    except ssl.SSLCertVerificationError as error:
        how = "give the name in it as --server-name" if error.verify_code in _WRONG_NAME else "check --ca"
        how = "its operator has to renew it" if error.verify_code in _WRONG_TIME else how
        return f"{distrust}'s certificate is not accepted ({error.verify_message}); {how}"
    except ssl.SSLError as error:
        reason = error.reason or ""
        if tls is not None and reason == "WRONG_VERSION_NUMBER":
            if _is_for_metrics(host, port):
                return _HTTP_PORT
            return f"{misfit} is plain text, and the client speaks TLS; leave --ca (KAN_CA, in Python tls=) away"
        alert = reason.partition("ALERT_")[2].replace("_", " ").lower()
        speaks_tls = speaks_tls or bool(alert)
        hangs_up = speaks_tls and not alert
    except ConnectionError:
        hangs_up = speaks_tls
    except (OSError, ValueError):  # a time-out, a file of `tls` that has gone, a name that is no host's
        pass
    if not speaks_tls:
        return ""
    if tls is None:
        more = ", and --cert and --key if it asks callers for a certificate" if alert or hangs_up else ""
        return f"{misfit} speaks TLS, and the client plain text; give --ca (in Python tls=TLS(ca=…)){more}"
    if alert and tls.cert is None:
        return f"{misfit} asks callers for a certificate (mTLS); give --cert and --key"
    if (alert or hangs_up) and (fault := _own_fault(tls)):
        return f"{distrust} does not accept the certificate of --cert, which {fault}"
    if alert:
        return f"{distrust} does not accept the certificate of --cert ({alert})"
    # gRPC's servers send no alert, so this may have other causes.
    how = "asks callers for a certificate (mTLS): give --cert and --key"
    how = how if tls.cert is None else "does not accept the certificate of --cert"
    return f"hangs up after the TLS handshake: it stops, is full, or {how}" if hangs_up else ""


def _own_fault(tls: TLS) -> str:
    """Why the client's certificate is not valid now; "" if it is, or cannot be read, or there is none."""
    try:
        return "" if tls.cert is None else read_validity(first_certificate(Path(tls.cert).read_bytes()) or b"").fault()
    except (OSError, ValueError):
        return ""


def _is_for_metrics(host: str, port: int) -> bool:
    """Whether a port answers as kan-serve's for metrics and probes."""
    try:
        with closing(http.client.HTTPConnection(host, port, timeout=_PROBE_SECONDS)) as connection:
            connection.request("GET", "/livez")
            return connection.getresponse().status == HTTPStatus.OK
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _context(tls: TLS | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    if tls is None:  # any certificate will do: nothing is sent
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    if tls.ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(tls.ca)
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context
