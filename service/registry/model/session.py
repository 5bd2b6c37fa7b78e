"""onnxruntime's side of a model: the session, its provider, and how rows go through it."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np

from kan_api.v1.manifest_pb2 import ModelManifest
from service.batching.request_queue import Outputs, Rows
from service.errors import ModelRefused, StartupError
from service.registry.model.onnx_runtime import onnxruntime
from service.settings import Settings


class Run(Protocol):
    """Gives the outputs of some rows; never called twice at once."""

    def __call__(self, rows: Rows, halt: "Halt | None" = None) -> Outputs:
        """The outputs; a run that can be ended from another thread takes a halt."""


class Halt:
    """Ends runs that were given it, from another thread; they fail."""

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()

    def set(self) -> None:
        """End them, now and from now on."""
        self.options.terminate = True


_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# No CUDA graph: it replays one number of rows at fixed addresses, and batches here are of every size.
_PROVIDER_OPTIONS = {
    "CPUExecutionProvider": {},
    "CUDAExecutionProvider": {
        # On by default from Ampere on: factors rounded to 10 bits, an error near 1e-3 where training verified 1e-5.
        "use_tf32": "0",
        # The default doubles the arena each time it grows; beside small models that is memory which others lack.
        "arena_extend_strategy": "kSameAsRequested",
    },
}


def provider_in_use(settings: Settings) -> Literal["cpu", "cuda"]:
    """The provider to ask onnxruntime for. A session may still get the CPU: `provider_of` says what it got.

    Raises:
        StartupError: It is absent and allow_fallback is off.
    """
    available = onnxruntime.get_available_providers()
    if _PROVIDERS[settings.provider] in available:
        return settings.provider
    if settings.allow_fallback:
        return "cpu"
    raise StartupError(
        f"provider {settings.provider!r} is absent: onnxruntime {onnxruntime.__version__} here has "
        f"{', '.join(available)}; install onnxruntime-gpu, or set allow_fallback to run on the CPU"
    )


def open_session(model_bytes: bytes, settings: Settings, external: Mapping[str, bytes] | None = None) -> Any:
    """An onnxruntime session on the provider that was asked for.

    Args:
        model_bytes: Of model.onnx.
        settings: Provider and threads.
        external: By name, the files that hold the external data of model.onnx, if it has any.

    Raises:
        ModelRefused: onnxruntime does not open it.
        StartupError: CUDA is asked for and does not work here.
    """
    options = onnxruntime.SessionOptions()
    # Bytes of its own format would be taken too; nobody has looked at where those keep their data.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if external:
        sizes = [len(content) for content in external.values()]
        options.add_external_initializers_from_files_in_memory(list(external), list(external.values()), sizes)
    options.intra_op_num_threads = settings.intra_op_threads
    options.inter_op_num_threads = 1
    # Fatal ones only: errors are raised as well, and its own lines would hold whole names of a graph, of any length.
    options.log_severity_level = 4
    provider = provider_in_use(settings)
    if provider == "cuda":
        # CUDA's libraries, where pip brought them. It prints what it does not find, and stdout is for the line that
        # says ready.
        with contextlib.redirect_stdout(sys.stderr):
            onnxruntime.preload_dlls(directory="")
        # Weights take the memory that they need, outside the arena, which then grows with the batches alone.
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    # The CPU too: onnxruntime keeps what concerns shapes there.
    providers = list(dict.fromkeys((_PROVIDERS[provider], _PROVIDERS["cpu"])))
    try:
        session = onnxruntime.InferenceSession(
            model_bytes, options, providers=[(name, _PROVIDER_OPTIONS[name]) for name in providers]
        )
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise ModelRefused("graph", f"onnxruntime does not open model.onnx: {error}") from error
    # onnxruntime falls back to the CPU with a mere warning where CUDA's libraries are missing.
    if session.get_providers()[0] != providers[0] and not settings.allow_fallback:
        raise StartupError(f"provider {provider!r} does not work here: the session runs on {session.get_providers()}")
    return session


def provider_of(session: Any) -> str:
    """The provider that a session really got: "cpu", "cuda", or what onnxruntime calls another one."""
    found: str = session.get_providers()[0]
    return {name: word for word, name in _PROVIDERS.items()}.get(found, found)


def run_of(session: Any, manifest: ModelManifest) -> Run:
    """How to run a session, by where it runs; never call it twice at once."""
    return (plain_run if provider_of(session) == "cpu" else bound_run)(session, manifest)


def plain_run(session: Any, manifest: ModelManifest) -> Run:
    """How a session on the CPU is run. One row has a binding of its own: a run then costs a fifth less."""
    given, wanted = _names(manifest)
    bindable = given not in wanted  # into an output that is the input itself nothing would be written
    row = np.zeros((1, len(manifest.features)), np.float32)
    answers = [np.zeros((1, *spec.shape[1:]), np.float32) for spec in manifest.outputs]
    binding = session.io_binding()
    binding.bind_input(given, "cpu", 0, np.float32, row.shape, row.ctypes.data)
    for name, answer in zip(wanted, answers, strict=True):
        binding.bind_output(name, "cpu", 0, np.float32, answer.shape, answer.ctypes.data)

    def run(rows: Rows, halt: Halt | None = None) -> Outputs:
        options = halt and halt.options
        if rows.shape != row.shape or not bindable:
            outputs: Outputs = session.run(wanted, {given: rows}, options)
            return outputs
        row[:] = rows
        session.run_with_iobinding(binding, options)
        return [answer.copy() for answer in answers]

    return run


def bound_run(session: Any, manifest: ModelManifest) -> Run:
    """How a session on a device is run: rows are copied to it before the run, outputs to the host at the run's end.

    A binding serves one run: it keeps the memory of the outputs, and a second run on another number of rows would fail.
    """
    given, wanted = _names(manifest)

    def run(rows: Rows, halt: Halt | None = None) -> Outputs:
        binding = session.io_binding()
        binding.bind_cpu_input(given, rows)
        for name in wanted:
            # The host's memory: the run copies all outputs there and waits for the device once. Outputs bound to the
            # device would each be copied, and waited for, after it.
            binding.bind_output(name, "cpu")
        session.run_with_iobinding(binding, halt and halt.options)
        outputs: Outputs = binding.copy_outputs_to_cpu()
        return outputs

    return run


def _names(manifest: ModelManifest) -> tuple[str, list[str]]:
    return manifest.inputs[0].name, [spec.name for spec in manifest.outputs]
