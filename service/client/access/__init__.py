"""How a client makes itself known, by TLS and a token, and how it finds out that a server wants another TLS."""

from service.client.access.access import TLS, Access, TokenLike
from service.client.access.port_look import PortLook

__all__ = ["TLS", "Access", "PortLook", "TokenLike"]
