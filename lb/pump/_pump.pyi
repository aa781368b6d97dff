"""Types of the C module; a test compares this list with dir(lib)."""

from typing import Any

class _Lib:
    PUMP_ERR_FRAME_RSV: int
    PUMP_ERR_FRAME_OPCODE: int
    PUMP_ERR_FRAME_MASKED: int
    PUMP_ERR_FRAME_LENGTH: int
    PUMP_ERR_FRAME_CONTROL: int
    PUMP_ERR_FRAME_SEQUENCE: int
    PUMP_ERR_FRAME_TOO_BIG: int
    PUMP_ERR_UTF8: int
    PUMP_ERR_NOT_ARRAY: int
    PUMP_ERR_NOT_OBJECT: int
    PUMP_ERR_NO_SEPARATOR: int
    PUMP_ERR_TRAILING: int
    PUMP_ERR_TRUNCATED: int
    PUMP_ERR_RECORD_TOO_BIG: int
    PUMP_ERR_RECV: int
    PUMP_ERR_PIPE: int
    PUMP_ERR_POLL: int
    PUMP_ERR_ACKNOWLEDGED: int
    PUMP_SOURCE_NONE: int
    PUMP_SOURCE_SOCKET: int
    PUMP_SOURCE_KTLS: int
    PUMP_SOURCE_CALLER: int
    PUMP_ROUTE_ROUND_ROBIN: int
    PUMP_ROUTE_SYMBOL: int
    PUMP_LAYOUT_POLYGON: int
    PUMP_LAYOUT_BINANCE: int
    PUMP_POLICY_BLOCK: int
    PUMP_POLICY_DROP_NEWEST: int
    PUMP_POLICY_DROP_OLDEST: int
    PUMP_VECTORS_BASELINE: int
    PUMP_VECTORS_AVX2: int
    PUMP_VECTORS_AVX512: int
    PUMP_BUDGET: int
    PUMP_DEADLINE: int
    PUMP_WAKE: int
    PUMP_READABLE: int
    PUMP_NOTICE: int
    PUMP_CONTROL: int
    PUMP_TLS_RECORD: int
    PUMP_MALFORMED: int
    PUMP_EOF: int
    PUMP_STALLED: int
    PUMP_RESUMED: int
    PUMP_PIPE_DRAINED: int
    PUMP_DRAINED: int
    PUMP_SAMPLES_MAX: int
    PUMP_SAMPLE_BYTES: int
    PUMP_ARRIVALS: int
    PUMP_ARRIVAL_BYTES: int

    def pump_new(self, config: Any) -> Any: ...
    def pump_free(self, pump: Any) -> None: ...
    def pump_set_pipe(self, pump: Any, pipe: int, fd: int) -> None: ...
    def pump_set_policy(self, pump: Any, pipe: int, policy: int) -> None: ...
    def pump_close_pipe(self, pump: Any, pipe: int) -> None: ...
    def pump_attach(self, pump: Any, source: int, fd: int) -> None: ...
    def pump_detach(self, pump: Any) -> None: ...
    def pump_has_input(self, pump: Any) -> int: ...
    def pump_drain(self, pump: Any) -> None: ...
    def pump_run(self, pump: Any, deadline_ns: int) -> int: ...
    def pump_room(self, pump: Any, room_bytes: Any) -> Any: ...
    def pump_fed(self, pump: Any, count_bytes: int) -> None: ...
    def pump_detail(self, pump: Any, detail: Any) -> None: ...
    def pump_counters(self, pump: Any, counters: Any) -> None: ...
    def pump_pipe_counters(self, pump: Any, pipe: int, counters: Any) -> None: ...
    def pump_arrival(self, pump: Any, least_number: int, arrival: Any) -> int: ...
    def pump_newest(self, pump: Any, arrival: Any) -> int: ...
    def pump_sample(self, pump: Any, index: int, sample: Any) -> int: ...
    def pump_acknowledge(self, pump: Any, pipe: int, records_total: int) -> int: ...
    def pump_redeliver(self, pump: Any, pipe: int, read_fd: int) -> int: ...
    def pump_realign(self, pump: Any, pipe: int, read_fd: int) -> int: ...
    def pump_unread(self, pump: Any, pipe: int, read_fd: int, unread: Any) -> int: ...

class _FFI:
    NULL: Any
    errno: int
    def new(self, cdecl: str, init: Any = ...) -> Any: ...
    def buffer(self, cdata: Any, size: int = ...) -> memoryview: ...
    def gc(self, cdata: Any, destructor: Any) -> Any: ...

lib: _Lib
ffi: _FFI
