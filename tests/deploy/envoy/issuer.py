"""An issuer of JSON Web Tokens."""

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER, AUDIENCE = "https://issuer.example.com", "kan-serving"


class Issuer:
    """Signs JSON Web Tokens with ES256 (RFC 7518, section 3.4)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def keys(self) -> str:
        """The public key as JWKS."""
        numbers = self._key.public_key().public_numbers()
        x, y = (_encoded(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
        return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "one", "x": x, "y": y}]})

    def token(self, seconds: float = 600, **claims: Any) -> str:
        """A token that expires in so many seconds."""
        header = {"alg": "ES256", "typ": "JWT", "kid": "one"}
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": int(time.time() + seconds), **claims}
        signed = ".".join(_encoded(json.dumps(each).encode()) for each in (header, body))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
