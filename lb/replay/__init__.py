"""A feed to test against: a server that speaks the protocol of the Polygon/Massive websocket feeds, or that of another
venue.

Laws of this package: it imports nothing of `lb` but the version and how numbers are read; what is sent to a client is
framed once, before it is sent, and at full speed no Python code runs per record, per message or per frame. (Of the
other venues' books what is long is written once, and stamped for each message.)

Reading order: `topics` and `dialogue` (what is said, without I/O), `tape` and `files` and `synthetic` (what is played),
`frames` and `reel` (the same, as bytes for the wire), `faults` and `player` (which bytes go next, and when), `wire`,
`connection`, `tape_connection`, `stage`, `tally`, `authority` and `server` (sockets, threads, TLS), `options`, `key`,
`command`, `progress`, `serve` and `cli` (the command `lb-replay`).

The fakes of other venues: `made_books` and `fake` (what is told), `venues` (a file each: in which words), `trouble` and
`venue_faults`, `venue_connection` and `venue_server` (the same sockets and threads).

In a test:

    with ReplayServer(Tape.of([b'[{"ev":"T","sym":"AAPL","t":1781622376036}]'])) as server:
        connect_to(server.url)

with `from lb.replay.server import ReplayServer` and `from lb.replay.tape import Tape`.
"""
