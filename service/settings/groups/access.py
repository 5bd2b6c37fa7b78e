"""The rights of callers, and the encryption of connections."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

# Each first file is of no use without the second one.
_NEEDS = (("tls_cert", "tls_key"), ("tls_key", "tls_cert"), ("tls_client_ca", "tls_cert"))


class AccessSettings(BaseModel):
    """The rights of callers, and the encryption of connections."""

    tls_cert: str = Field(
        default="",
        description="PEM file of the certificate for the gRPC port, with its chain; taken anew when it changes. "
        "By default gRPC is plain.",
    )
    tls_key: str = Field(default="", description="PEM file of the private key for --tls-cert.")
    tls_client_ca: str = Field(
        default="",
        description="PEM file of the authorities that sign callers' certificates; every caller then needs one.",
    )
    tokens: str = Field(
        default="",
        description="TOML file of the bearer tokens that callers need, taken anew when it changes; by default "
        "callers need none.",
    )
    insecure_public: bool = Field(
        default=False,
        description="Do not warn about an address that others can reach, without TLS or without tokens.",
    )

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        for given, missing in _NEEDS:
            if getattr(self, given) and not getattr(self, missing):
                names = f"--{missing.replace('_', '-')}, KAN_{missing.upper()} or the key {missing}"
                raise ValueError(f"{given} is set, and {missing} is not: give {names} too")
        return self
