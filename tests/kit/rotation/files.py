"""What a server has on disk of each generation, and what its callers have."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.kit.callers.tokens import bearer, secret, sha256
from tests.kit.server.certificates import Authority, Pair, serial


@dataclass(frozen=True)
class Generation:
    """Of one generation: the caller's certificate and token, and the serial number of the server's certificate."""

    number: int
    pair: Pair
    server_serial: int

    @property
    def token(self) -> str:
        """The bearer token."""
        return secret(self._name)

    @property
    def metadata(self) -> tuple[tuple[str, str]]:
        """What a call with the token says."""
        return bearer(self._name)

    @property
    def _name(self) -> str:
        return f"generation-{self.number}"

    def table(self) -> str:
        """The token's table in the token file."""
        return f'[tokens.{self._name}]\nsha256 = "{sha256(self.token)}"\n'


class RotatedFiles:
    """The files of a server, with generation 0.

    Args:
        folder: An empty one.

    Attributes:
        ca: The authority of the server's certificates, which stays.
        generations: All so far; the last may not be on disk yet.
    """

    def __init__(self, folder: Path) -> None:
        self._made, self._server = folder / "made", folder / "server"
        self._server.mkdir(parents=True)
        self._authority = Authority(self._made)
        self.ca = self._authority.file
        self.generations: list[Generation] = []
        self._contents: dict[str, bytes] = {}
        self.make_next()
        self.replace()

    @property
    def flags(self) -> list[str]:
        """Of kan-serve."""
        names = {"--tls-cert": "tls.crt", "--tls-key": "tls.key", "--tls-client-ca": "callers.pem"}
        names["--tokens"] = "tokens.toml"
        return [each for flag, name in names.items() for each in (flag, str(self._server / name))]

    def make_next(self) -> Generation:
        """Make the next generation; the server's files stay as they are."""
        number = len(self.generations)
        pair = self._authority.issue("server")
        callers = Authority(self._made / f"callers-{number}", f"callers-{number}")
        cert = pair.cert.read_bytes()
        self.generations.append(Generation(number, callers.issue("caller"), serial(cert)))
        kept = self.generations[-2:]
        self._contents = {
            "tls.crt": cert + self.ca.read_bytes(),
            "tls.key": pair.key.read_bytes(),
            "callers.pem": b"".join(self._callers(each.number).read_bytes() for each in kept),
            "tokens.toml": "".join(each.table() for each in kept).encode(),
        }
        return self.generations[-1]

    def half_write(self) -> None:
        """Write half of the last generation, in place: its certificate without its key, tokens without their end."""
        (self._server / "tls.crt").write_bytes(self._contents["tls.crt"])
        (self._server / "tokens.toml").write_bytes(self._contents["tokens.toml"][:-10])

    def replace(self) -> None:
        """Replace each file by that of the last generation, by a rename."""
        for name, content in self._contents.items():
            new = self._server / f"{name}.new"
            new.write_bytes(content)
            os.replace(new, self._server / name)

    def _callers(self, number: int) -> Path:
        return self._made / f"callers-{number}" / f"callers-{number}.pem"
