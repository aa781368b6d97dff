"""The .proto files, and the data that was made of them."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from trade_balancer.books.service import protos
from trade_balancer.books.service.protos.__main__ import compile_into


def test_the_data_is_what_the_compiler_makes_of_the_files(tmp_path: Path) -> None:
    """Else: python -m trade_balancer.books.service.protos"""
    made = tmp_path / "made"
    assert compile_into(made) == 0
    assert FileDescriptorSet.FromString(protos.DESCRIPTORS.read_bytes()) == FileDescriptorSet.FromString(
        made.read_bytes()
    )


def test_each_service_is_there_under_its_name() -> None:
    for name in protos.SERVICES:
        assert protos.POOL.FindServiceByName(name).full_name == name
