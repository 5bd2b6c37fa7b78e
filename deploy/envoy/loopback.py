"""Compose's Envoy for tests and benchmarks: its files with addresses of this machine, and nothing else changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

# Those of compose, where a test finds them again. Hot restarts, which nobody needs, would leave a file in /dev/shm for
# each Envoy that ends.
FLAGS = ("--log-level", "warning", "--concurrency", "1", "--disable-hot-restart")


def on_loopback(replicas: Sequence[int], callers: int, metrics: int, admin: int, file: str = "envoy.yaml") -> Object:
    """The configuration, with addresses of 127.0.0.1.

    Args:
        replicas: The gRPC ports of the replicas, which compose finds by name.
        callers: The port for callers.
        metrics: The port for Prometheus.
        admin: The port of the admin API.
        file: In the folder deploy/envoy.
    """
    configuration: Object = yaml.safe_load((Path(__file__).parent / file).read_text())
    resources = configuration["static_resources"]
    listeners = {each["name"]: each for each in resources["listeners"]}
    clusters = {each["name"]: each for each in resources["clusters"]}
    for holder, port in (
        (listeners["callers"], callers),
        (listeners["metrics"], metrics),
        (configuration["admin"], admin),
    ):
        holder["address"] = _address(port)
    del clusters["kan-serve"]["cluster_type"]
    clusters["kan-serve"]["type"] = "STATIC"
    for name, ports in (("kan-serve", replicas), ("admin", [admin])):
        endpoints = [{"endpoint": {"address": _address(port)}} for port in ports]
        clusters[name]["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]
    return configuration


def _address(port: int) -> Object:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
