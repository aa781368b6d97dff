"""Merged order books by FIX 4.4 (docs/books-fix.md), in a process of its own.

Law: what a client has not taken is replaced before it becomes a message: nothing queues in front of the engine. Quotes
are not kept; who asks for them again is told that they are gone, and the numbers go on. Only this folder imports
fixcore (extra `fix`).
"""
