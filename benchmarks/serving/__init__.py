"""The server beside bare grpcio echoes and other servers, under load. ``python -m benchmarks.serving``."""
