"""Types of the C module; a test compares this list with dir(lib)."""

from collections.abc import Sequence

class _SpawnFailure:
    step: int
    error: int

class _Lib:
    SPAWN_PIPE: int
    SPAWN_FORK: int
    SPAWN_DEATH_SIGNAL: int
    SPAWN_CPUS: int
    SPAWN_DIRECTORY: int
    SPAWN_DESCRIPTORS: int
    SPAWN_EXEC: int

    def spawn_process(
        self,
        path: object,
        argv: object,
        envp: object,
        directory: object,
        cpus: object,
        cpus_bytes: int,
        fds: Sequence[int],
        fd_count: int,
        failure: _SpawnFailure,
    ) -> int: ...

class _FFI:
    NULL: object
    def sizeof(self, cdecl: str) -> int: ...
    def new(self, cdecl: str, init: object = ...) -> _SpawnFailure: ...

lib: _Lib
ffi: _FFI
