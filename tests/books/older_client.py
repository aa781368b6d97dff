"""A client as those of the older services were written: stubs made of its own .proto text. Prints what it gets.

older_client.py FOLDER ADDRESS COUNT [SYMBOL]
"""

import sys

import grpc

PROTO = """
syntax = "proto3";
package orderbook;
service Aggregator { rpc BookSummary(Request) returns (stream Summary); }
service OrderbookAggregator { rpc BookSummary(Empty) returns (stream Summary); }
message Empty {}
message Request { string symbol = 1; }
message Summary { double spread = 1; repeated Level bids = 2; repeated Level asks = 3; }
message Level { string exchange = 1; double price = 2; double amount = 3; }
"""


def main(folder: str, address: str, count: str, symbol: str = "") -> None:
    sys.path.insert(0, folder)
    with open(f"{folder}/orderbook.proto", "w") as file:  # noqa: PTH123 - grpc finds it by sys.path
        file.write(PROTO)
    messages, services = grpc.protos_and_services("orderbook.proto")
    with grpc.insecure_channel(address) as channel:
        if symbol:
            call = services.AggregatorStub(channel).BookSummary(messages.Request(symbol=symbol))
        else:
            call = services.OrderbookAggregatorStub(channel).BookSummary(messages.Empty())
        try:
            for _ in range(int(count)):
                summary = next(call)
                best = summary.bids[0]
                print(summary.spread, len(summary.asks), best.exchange, best.price, best.amount, flush=True)
        except grpc.RpcError as error:
            print(error.code().name, error.details(), flush=True)
        call.cancel()


if __name__ == "__main__":
    main(*sys.argv[1:])
