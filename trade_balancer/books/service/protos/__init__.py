"""The messages of the services, from their .proto files.

Law: what the compiler has made of the .proto files is kept as data (`descriptors.binpb`), not as Python code: generated
code works only with versions of protobuf near the compiler's, data with all. A pool of our own: a program that has
compiled the same .proto files for itself meets no second one of the same name.

To make the data anew: `python -m trade_balancer.books.service.protos` (package grpcio-tools).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trade_balancer.errors import MissingExtraError

try:
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass
except ImportError:
    raise MissingExtraError("gRPC", "protobuf", "books") from None

FOLDER = Path(__file__).parent
DESCRIPTORS = FOLDER / "descriptors.binpb"

BOOKS = "tradebalancer.books.v1.Books"
AGGREGATOR = "orderbook.Aggregator"
ORDERBOOK_AGGREGATOR = "orderbook.OrderbookAggregator"
SERVICES = (BOOKS, AGGREGATOR, ORDERBOOK_AGGREGATOR)

POOL = DescriptorPool()
for _file in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
    POOL.AddSerializedFile(_file.SerializeToString())


def _message(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(name))


WatchRequest = _message("tradebalancer.books.v1.WatchRequest")
WatchReply = _message("tradebalancer.books.v1.WatchReply")
Refused = _message("tradebalancer.books.v1.Refused")
StreamRequest = _message("tradebalancer.books.v1.StreamRequest")
SymbolsRequest = _message("tradebalancer.books.v1.SymbolsRequest")
SymbolsReply = _message("tradebalancer.books.v1.SymbolsReply")
Summary = _message("tradebalancer.books.v1.Summary")
Request = _message("orderbook.Request")
OrderbookSummary = _message("orderbook.Summary")
