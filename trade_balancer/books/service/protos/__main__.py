"""Writes `descriptors.binpb`, from the .proto files beside it (package grpcio-tools)."""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).parent


def compile_into(path: Path) -> int:
    """Returns the compiler's exit code."""
    names = sorted(each.name for each in FOLDER.glob("*.proto"))
    return int(protoc.main(["protoc", f"--proto_path={FOLDER}", f"--descriptor_set_out={path}", *names]))


if __name__ == "__main__":
    sys.exit(compile_into(FOLDER / "descriptors.binpb"))
