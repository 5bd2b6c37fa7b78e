"""Codes are gRPC's, and every error has one."""

import grpc

from service import errors
from service.errors import ServiceError
from service.rpc.status import CODES, Code


def test_codes_are_those_of_grpc() -> None:
    """Names and numbers are gRPC's own."""
    assert {code.name: code.value for code in Code} == {code.name: code.value[0] for code in grpc.StatusCode}


def test_every_error_has_a_code() -> None:
    """Every leaf of the error tree is in the table."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]
    leaves = {kind for kind in kinds if not kind.__subclasses__()}
    assert leaves == set(CODES)
