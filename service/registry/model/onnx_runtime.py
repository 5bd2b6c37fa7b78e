"""The only module under service/ that imports onnxruntime itself: telemetry must be off before the import.

It also makes the arena that sessions may share (`service.registry.model.session`). A process can do that only once.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

onnxruntime.create_and_register_allocator(
    onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    ),
    None,
)

__all__ = ["onnxruntime"]
