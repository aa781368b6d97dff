"""Merged order books by gRPC (docs/books.md): `server` serves them, `client` shows them.

Law: a summary is encoded once, however many clients there are. A client has one place for each of its symbols and no
queue: it can hold up nobody, and what it does not take is counted. Only this folder imports grpc (extra `books`).
"""
