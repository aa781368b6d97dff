"""Types of the C module; a test compares this list with dir(lib)."""

from typing import Any

class _Lib:
    SPAWN_FORK: int
    SPAWN_DEATH_SIGNAL: int
    SPAWN_CPUS: int
    SPAWN_DIRECTORY: int
    SPAWN_DESCRIPTORS: int
    SPAWN_LIMIT: int
    SPAWN_EXEC: int

    def spawn_process(self, order: object) -> int: ...

class _FFI:
    errno: int
    NULL: object
    def sizeof(self, cdecl: str) -> int: ...
    def new(self, cdecl: str, init: object = ...) -> Any: ...
    def from_buffer(self, cdecl: str, data: bytes) -> Any: ...

lib: _Lib
ffi: _FFI
