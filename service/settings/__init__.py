"""The settings of a server: what there is, where values come from, and whether they fit.

`groups` holds the fields, one group a file. `Settings` is all of them as one frozen value, with a `ModelTable` for each
model that has settings of its own. `Sources` makes it: a value comes from a flag, an environment variable, the settings
file or a default, in this order. Example: `--grpc-port 9001` wins over `KAN_GRPC_PORT=9002`, and both over this file:

    [server]
    grpc_port = 9003

    [models.digits]
    max_batch_rows = 64
"""

from service.settings.model_table import ModelTable
from service.settings.settings import FLAGS, Settings, flag, variable
from service.settings.sources import Sources

__all__ = ["FLAGS", "ModelTable", "Settings", "Sources", "flag", "variable"]
