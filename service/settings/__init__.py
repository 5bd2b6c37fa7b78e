"""The settings of a server: what there is, where values come from, and whether they fit.

`groups` holds the fields, one group a file. `Settings` is all of them as one frozen value. A value comes from a flag,
an environment variable, or a default, in this order. Example: `--grpc-port 9001` wins over `KAN_GRPC_PORT=9002`.
"""

from service.settings.settings import FLAGS, Settings, flag, variable

__all__ = ["FLAGS", "Settings", "flag", "variable"]
