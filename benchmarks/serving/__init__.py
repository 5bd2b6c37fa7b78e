"""The server compared with bare grpcio echoes and other servers, under load. ``python -m benchmarks.serving``."""
