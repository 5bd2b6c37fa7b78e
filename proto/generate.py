"""Generate Python modules and type stubs from the .proto files beside this script.

``--check`` writes nothing and fails if a committed file differs from the generated one.
"""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent
SOURCES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.proto"))


def generate(target: Path) -> list[Path]:
    """Run protoc for every source, write into ``target``, and give the written paths relative to it."""
    arguments = ["protoc", f"-I{ROOT}", f"--python_out={target}", f"--pyi_out={target}"]
    if protoc.main([*arguments, *(str(ROOT / source) for source in SOURCES)]) != 0:
        sys.exit("protoc failed; its message is above")
    suffixes = ("_pb2.py", "_pb2.pyi")
    return [source.with_name(source.stem + suffix) for source in SOURCES for suffix in suffixes]


def main() -> None:
    """Write the files; with --check compare them."""
    if sys.argv[1:] != ["--check"]:
        generate(ROOT)
        return
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        stale = [
            path
            for path in generate(fresh)
            if not (ROOT / path).exists() or (ROOT / path).read_bytes() != (fresh / path).read_bytes()
        ]
    if stale:
        sys.exit(f"generated code differs from the .proto files: {', '.join(map(str, stale))}; run `make proto`")


if __name__ == "__main__":
    main()
