"""PyCapsules of Arrow's C structs (https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html)."""

from __future__ import annotations

import ctypes
from typing import Any

from trade_balancer.columnar._columns import ffi, lib

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]

_SCHEMA, _ARRAY, _STREAM = b"arrow_schema", b"arrow_array", b"arrow_array_stream"  # a capsule refers to its name


def schema(decoder: Any, event: int) -> object:
    return _capsule(lib.arrow_schema(decoder, event), _SCHEMA, "arrow_end_schema")


def array(decoder: Any, block: Any, event: int) -> object:
    return _capsule(lib.arrow_array(decoder, block, event), _ARRAY, "arrow_end_array")


def stream(decoder: Any, block: Any, event: int) -> object:
    return _capsule(lib.arrow_stream(decoder, block, event), _STREAM, "arrow_end_stream")


def _capsule(pointer: Any, name: bytes, destructor: str) -> object:
    if pointer == ffi.NULL:
        raise MemoryError("no memory for an Arrow array")
    end = ffi.addressof(lib, destructor)
    return _new_capsule(int(ffi.cast("uintptr_t", pointer)), name, int(ffi.cast("uintptr_t", end)))
