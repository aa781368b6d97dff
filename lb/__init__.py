"""The balancer: one market-data websocket in, many worker processes out."""
