"""How large a version may be: kan-train publishes nothing larger, and kan-serve refuses what is. Numbers only.

A manifest is read by a thread of a server that answers calls meanwhile, and json keeps the interpreter to itself for as
long as it works on one text. 8 MiB keep calls waiting for 25 ms where training wrote them (6,400 features with their
histograms), and for 80 ms where somebody means harm; 16 MiB kept them waiting for 280 ms and more. A manifest is also
the answer of GetModel, for which there are 16 MiB.
"""

# Of manifest.json, and of the same in protobuf's encoding: short numbers take more bytes there.
MAX_MANIFEST_BYTES = 8 * 2**20
# Features, columns, classes, and columns of all outputs together: one row then takes 256 KiB.
MAX_WIDTH = 2**16
# Names of models, columns, classes, tensors and the like, words of columns, times.
MAX_NAME_CHARACTERS = 4096
# A recipe, a formula, a command.
MAX_TEXT_CHARACTERS = 2**20
# model.onnx and its external data; kan-serve has a setting for it. Loading takes five times as much memory
# (onnxruntime 1.32), 640 MiB. deploy/ gives a container 1,536 MiB, of which callers may hold all but 352 MiB behind
# grpcio: a model this large needs a higher limit (docs/operations.md#memory).
DEFAULT_MAX_MODEL_BYTES = 128 * 2**20
