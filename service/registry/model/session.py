"""The onnxruntime session of a model: its provider, and the function that runs rows."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np

from kan_api.v1.manifest_pb2 import ModelManifest
from service.batching.request import Outputs, Rows
from service.cores import container_cores
from service.errors import ModelRefused, StartupError
from service.metrics.drift.served_rows import ServedRows
from service.registry.model.onnx_runtime import onnxruntime
from service.rpc.worker_count import worker_count
from service.settings import Settings


class Run(Protocol):
    """Computes the outputs of rows. It must not be called by two threads at once."""

    def __call__(self, rows: Rows, halt: "Halt | None" = None) -> Outputs:
        """The outputs. With a halt, another thread can end the run."""


class Halt:
    """Ends, from another thread, the runs that were given this object. They fail."""

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()

    def set(self) -> None:
        """End the current runs, and all later runs at once."""
        self.options.terminate = True


_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# CUDA graphs are not used: a CUDA graph is for one number of rows at fixed addresses, but batches have any size.
_PROVIDER_OPTIONS = {
    "CPUExecutionProvider": {},
    "CUDAExecutionProvider": {
        # TF32 is on by default since Ampere. It rounds factors to 10 bits: an error near 1e-3, but training verified
        # 1e-5.
        "use_tf32": "0",
        # By default the arena doubles each time it grows. With many small models that wastes memory.
        "arena_extend_strategy": "kSameAsRequested",
    },
}


def provider_in_use(settings: Settings) -> Literal["cpu", "cuda"]:
    """The provider to request from onnxruntime. A session may still run on the CPU; `provider_of` tells.

    Raises:
        StartupError: The provider is not available and allow_fallback is off.
    """
    available = onnxruntime.get_available_providers()
    if _PROVIDERS[settings.provider] in available:
        return settings.provider
    if settings.allow_fallback:
        return "cpu"
    raise StartupError(
        f"provider {settings.provider!r} is absent: onnxruntime {onnxruntime.__version__} here has "
        f"{', '.join(available)}; install onnxruntime-gpu, or pass --allow-fallback to run on the CPU"
    )


def check_providers(settings: Settings) -> None:
    """Check that the providers of all models are available.

    Raises:
        StartupError: As :func:`provider_in_use`.
    """
    provider_in_use(settings)
    for name in settings.tables:
        provider_in_use(settings.of_model(name))


def threads_of_runs(settings: Settings) -> int:
    """Threads of one run: those of the settings, but not more than the cores that the container has for each worker."""
    if settings.intra_op_threads == 1:  # no need to read the files of control groups
        return 1
    return min(settings.intra_op_threads, max(1, container_cores() // worker_count(settings)))


def open_session(
    model_bytes: bytes,
    settings: Settings,
    external: Mapping[str, bytes] | None = None,
    file: str = "model.onnx",
    *,
    shares_arena: bool = False,
) -> Any:
    """An onnxruntime session on the provider of the settings.

    A session keeps the memory of its largest run for its next run, in an arena. Sessions that share an arena take turns
    in the same memory: 60 small models took 27 MB in place of 188, and the first full batch of each took a third of the
    time, because the system has to hand out no new pages. But the shared arena keeps for ever what it has once taken,
    and answers of several rows lie in it for as long as somebody holds them.

    Args:
        model_bytes: Content of the graph's file.
        settings: Provider and threads.
        external: By name, the content of the files with external data of the graph, if it has any.
        file: Name of the graph's file, for messages.
        shares_arena: Whether runs on the CPU take their memory from the arena of all such sessions.

    Raises:
        ModelRefused: onnxruntime does not open it.
        StartupError: CUDA is set and does not work here.
    """
    options = onnxruntime.SessionOptions()
    # Otherwise onnxruntime would also load its own format (ORT), whose external data is not checked by this service.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if external:
        sizes = [len(content) for content in external.values()]
        options.add_external_initializers_from_files_in_memory(list(external), list(external.values()), sizes)
    options.intra_op_num_threads = threads_of_runs(settings)
    # Otherwise idle threads of onnxruntime would wait in a busy loop, and take the core from the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.inter_op_num_threads = 1
    # Log fatal errors only. Other errors are raised too, and onnxruntime's log lines would contain names of any length.
    options.log_severity_level = 4
    provider = provider_in_use(settings)
    if provider == "cuda":
        # Load the CUDA libraries that pip has installed. onnxruntime prints the missing ones on stdout, which is only
        # for the line that reports readiness.
        with contextlib.redirect_stdout(sys.stderr):
            onnxruntime.preload_dlls(directory="")
        # Weights are allocated outside the arena, with exactly their size. The arena then holds batches only.
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    elif shares_arena:
        options.add_session_config_entry("session.use_env_allocators", "1")
        # Weights of models that come and go would leave holes in it.
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    # The CPU is always added: onnxruntime computes shapes there.
    providers = list(dict.fromkeys((_PROVIDERS[provider], _PROVIDERS["cpu"])))
    try:
        session = onnxruntime.InferenceSession(
            model_bytes, options, providers=[(name, _PROVIDER_OPTIONS[name]) for name in providers]
        )
    except Exception as error:  # onnxruntime's errors have no common base class
        raise ModelRefused("graph", f"onnxruntime does not open {file}: {error}") from error
    # If CUDA's libraries are missing, onnxruntime falls back to the CPU with only a warning.
    if session.get_providers()[0] != providers[0] and not settings.allow_fallback:
        raise StartupError(
            f"provider {provider!r} does not work here: the session runs on {session.get_providers()}; pass "
            "--allow-fallback if it may run there"
        )
    return session


def provider_of(session: Any) -> str:
    """The provider that a session really runs on: "cpu", "cuda", or onnxruntime's name of another one."""
    found: str = session.get_providers()[0]
    return {name: word for word, name in _PROVIDERS.items()}.get(found, found)


def run_of(session: Any, manifest: ModelManifest) -> Run:
    """The function that runs a session on its provider. Two threads must not call it at once."""
    return (plain_run if provider_of(session) == "cpu" else bound_run)(session, manifest)


def plain_run(session: Any, manifest: ModelManifest) -> Run:
    """The function that runs a session on the CPU. A single row uses a fixed binding, which costs a fifth less."""
    given, wanted = _names(manifest)
    bindable = given not in wanted  # onnxruntime writes nothing into a bound output that is the input itself
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
    """The function that runs a session on a device: it copies rows there, and outputs back to the host.

    Each run has a new binding. A binding keeps the memory of its outputs, so another number of rows would fail.
    """
    given, wanted = _names(manifest)

    def run(rows: Rows, halt: Halt | None = None) -> Outputs:
        binding = session.io_binding()
        binding.bind_cpu_input(given, rows)
        for name in wanted:
            # Outputs in host memory are all copied in the run, with one wait for the device. Outputs on the device
            # would be copied after the run, each with its own wait.
            binding.bind_output(name, "cpu")
        session.run_with_iobinding(binding, halt and halt.options)
        outputs: Outputs = binding.copy_outputs_to_cpu()
        return outputs

    return run


def counted_run(run: Run, served: ServedRows | None) -> Run:
    """The same function; the rows and answers of runs that succeed are counted."""
    if served is None:
        return run
    keep = served.keep

    def run_and_keep(rows: Rows, halt: Halt | None = None) -> Outputs:
        outputs = run(rows, halt)
        keep(rows, outputs[0])
        return outputs

    return run_and_keep


def _names(manifest: ModelManifest) -> tuple[str, list[str]]:
    return manifest.inputs[0].name, [spec.name for spec in manifest.outputs]
