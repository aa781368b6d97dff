"""zstd for files of lines (extra `zstd`)."""

from __future__ import annotations

from trade_balancer.errors import MissingExtraError

try:
    import zstandard
except ImportError:
    raise MissingExtraError("--zstd", "zstandard", "zstd") from None


class ZstdCompressor:
    """A frame with a checksum; see `line_files.Compressor`."""

    def __init__(self, level: int) -> None:
        self._frame = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()

    def compress(self, data: bytes) -> bytes:
        return self._frame.compress(data)

    def flush(self) -> bytes:
        return self._frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._frame.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)
