"""The modules that methods and tables import beyond our own packages; the extra [bench] brings them."""

from collections.abc import Iterable
from importlib.util import find_spec

from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.methods.peers import PEERS
from benchmarks.tables.sources import INSTALL, MODULES, Source

# They translate LightGBM's trees, whose answers are timed beside ours.
_TRANSLATORS = ("onnxmltools", "skl2onnx")


def modules_of(methods: Iterable[str], sources: Iterable[Source]) -> list[str]:
    """The modules that these methods and tables import, sorted."""
    methods = set(methods)
    found = {PEERS[method].module.partition(".")[0] for method in methods - {OURS}}
    found |= {MODULES[source.package] for source in sources}
    return sorted(found.union(_TRANSLATORS if {OURS, "LightGBM"} <= methods else ()))


def packages_of(methods: Iterable[str]) -> list[str]:
    """The packages whose versions a run names: ours, and those of the peers that take part."""
    peers = {package for method in set(methods) - {OURS} for package in PEERS[method].packages}
    return ["kan-serving", *sorted(peers | {"torch", "onnxruntime"})]


def tell_missing(modules: Iterable[str]) -> str:
    """Name the modules that are not installed and the command that installs them; empty if none is missing."""
    missing = [module for module in modules if find_spec(module) is None]
    return f"not installed: {', '.join(missing)}. {INSTALL}" if missing else ""
