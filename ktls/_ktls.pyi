# Types of the cffi module built from csrc/ktls.h; tests/ktls/test_shim.py compares the names with the module's.
from typing import Any, Final

class CData:
    def __getitem__(self, index: int) -> int: ...

class FFI:
    def new(self, cdecl: str) -> CData: ...
    def from_buffer(self, cdecl: str, python_buffer: Any, require_writable: bool = ...) -> CData: ...

class Lib:
    KTLS_TCP_ULP: Final[int]
    KTLS_SOL_TLS: Final[int]
    KTLS_TX: Final[int]
    KTLS_RX: Final[int]
    KTLS_RX_EXPECT_NO_PAD: Final[int]
    KTLS_SET_RECORD_TYPE: Final[int]
    KTLS_GET_RECORD_TYPE: Final[int]
    KTLS_VERSION_1_2: Final[int]
    KTLS_VERSION_1_3: Final[int]
    KTLS_CIPHER_AES_GCM_128: Final[int]
    KTLS_CIPHER_AES_GCM_256: Final[int]
    KTLS_CIPHER_CHACHA20_POLY1305: Final[int]
    KTLS_CRYPTO_INFO_MAX_BYTES: Final[int]
    KTLS_E_VERSION: Final[int]
    KTLS_E_CIPHER: Final[int]
    KTLS_E_KEY: Final[int]
    KTLS_E_IV: Final[int]
    KTLS_E_ROOM: Final[int]
    def ktls_crypto_info(
        self,
        out: CData,
        out_bytes: int,
        version: int,
        cipher: int,
        key: CData,
        key_bytes: int,
        iv: CData,
        iv_bytes: int,
        rec_seq: int,
        /,
    ) -> int: ...
    def ktls_receive(self, fd: int, buffer: CData, buffer_bytes: int, flags: int, record_type: CData, /) -> int: ...
    def ktls_wipe(self, memory: CData, memory_bytes: int, /) -> None: ...
    def ktls_set_dumpable(self, dumpable: int, /) -> int: ...

ffi: FFI
lib: Lib
