"""Python modules and type stubs, generated from the .proto files beside this script.

Run as ``python proto/generate.py`` to write them, with ``--check`` to see whether they are in step.
"""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

from deploy.generated import write_or_check

ROOT = Path(__file__).parent


def files() -> dict[Path, str]:
    """Every file that is made, by its path."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["protoc", f"-I{ROOT}", f"--python_out={folder}", f"--pyi_out={folder}"]
        if protoc.main([*arguments, *map(str, sorted(ROOT.rglob("*.proto")))]) != 0:
            sys.exit("protoc failed; its message is above")
        return {ROOT / path.relative_to(folder): path.read_text() for path in Path(folder).rglob("*_pb2.py*")}


if __name__ == "__main__":
    sys.exit(write_or_check(files, __doc__))
