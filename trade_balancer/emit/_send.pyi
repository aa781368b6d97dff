"""Types of the C module; a test compares this list with dir(lib)."""

from typing import Any

class _Lib:
    def send_to_all(self, fds: Any, count: int, frame: Any, bytes_: int, shorts: Any) -> int: ...

class _Ffi:
    def new(self, kind: str, first: Any) -> Any: ...

lib: _Lib
ffi: _Ffi
