"""Read the files of pykan's ``saveckpt``, without pykan."""

import importlib
from pathlib import Path
from typing import Any

from kan_model.interop.parts import InteropError, read_tensors
from kan_model.interop.pykan import convert
from kan_model.interop.pykan_nodes import PykanNetwork
from kan_model.network.network import KAN


def load_pykan_checkpoint(path: Path | str) -> KAN:
    """The network that ``model.saveckpt(path)`` wrote; see :func:`kan_model.interop.from_pykan`.

    The files do not tell which inputs ``prune_input`` kept. The network therefore reads only the kept inputs, in order.

    Args:
        path: As for pykan: the common beginning of the names ``…_config.yml`` and ``…_state``. The third file,
            ``…_cache_data`` with rows of training data, is not read.

    Raises:
        FileNotFoundError: one of the two files is missing.
        ModuleNotFoundError: PyYAML is not installed.
        InteropError: the files are not pykan's, or as :func:`kan_model.interop.from_pykan`.
    """
    name = f"{path}_config.yml"
    config = _read_yaml(Path(name))
    tensors = read_tensors(Path(f"{path}_state"))
    try:
        width = [[int(number) for number in nodes] for nodes in config["width"]]
        depth = len(width) - 1
        functions = [config[f"symbolic.funs_name.{index}"] for index in range(depth)]
        base = _base_function(str(config["base_fun_name"]))
        enabled = bool(config["symbolic_enabled"])
        arity = config.get("mult_arity", 2)
    except (KeyError, TypeError, ValueError) as error:
        raise InteropError(f"{name}: not a configuration of pykan 0.2: {error!r}") from error
    # The errors below name layers and tensors; the path tells of which network.
    try:
        return convert(PykanNetwork(tensors, width, [base] * depth, functions if enabled else None, arity))
    except InteropError as error:
        raise InteropError(f"{path}: {error}") from error


def _base_function(name: str) -> str:
    # After prune_input pykan writes the Python class of the module instead of the name.
    base = "silu" if name.endswith(".SiLU") else name
    if base not in ("silu", "zero"):
        raise InteropError(f"the base function is {name!r}; wanted silu or zero")
    return base


def _read_yaml(path: Path) -> dict[str, Any]:
    """The configuration. A Python object in it is read as the name of its class; the class is not imported."""
    content = path.read_text(encoding="utf-8")
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reading a pykan checkpoint needs PyYAML: pip install pyyaml", name="yaml") from error

    loader: Any = type("ConfigurationLoader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _loader, name, _node: name)
    try:
        config = yaml.load(content, loader)
    except yaml.YAMLError as error:
        raise InteropError(f"{path}: not YAML") from error
    if not isinstance(config, dict):
        raise InteropError(f"{path}: holds a {type(config).__name__}; wanted the configuration of a pykan network")
    return config
