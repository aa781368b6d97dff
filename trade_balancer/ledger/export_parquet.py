"""`lb-ledger export --parquet` (extra `parquet`): a file that is whole or not there, with amounts as exact decimals."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from trade_balancer.errors import MissingExtraError, OutputError
from trade_balancer.ledger.export import AMOUNTS, Export
from trade_balancer.ledger.transaction import DECIMALS
from trade_balancer.part_files import PartFile

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError:
    raise MissingExtraError("export --parquet", "pyarrow", "parquet") from None

_AMOUNT = pa.decimal128(20, DECIMALS)
_TYPES = {"shard": pa.int32(), "seq": pa.int64(), "time": pa.int64(), "locked": pa.bool_()}
_ROWS = 1 << 17
"""Of a row group: as large as DuckDB's."""


def write(export: Export, path: Path) -> int:
    """Returns how many rows.

    Raises:
        OutputError: there is such a file, or it can't be written.
    """
    types = {name: _AMOUNT if name in AMOUNTS else _TYPES.get(name, pa.string()) for name in export.columns}
    schema = pa.schema(list(types.items()))
    count = 0
    try:
        part = PartFile(path)
    except FileExistsError:
        raise OutputError(f"{path} is there already") from None
    try:
        with (
            part.checked(),
            open(part.fd, "wb", closefd=False) as file,
            parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=["account", "kind"]) as writer,
        ):
            while rows := list(islice(export.rows, _ROWS)):
                columns = zip(types.values(), zip(*rows, strict=True), strict=True)
                writer.write_batch(pa.record_batch([_array(kind, values) for kind, values in columns], schema=schema))
                count += len(rows)
        part.complete()
    except BaseException:
        part.part_path.unlink(missing_ok=True)
        raise
    return count


def _array(kind: Any, values: tuple[Any, ...]) -> Any:
    """Amounts are whole numbers of units: as decimals the same digits, with a point between them."""
    if kind is not _AMOUNT:
        return pa.array(values, kind)
    units = pa.array(values, pa.int64()).cast(pa.decimal128(_AMOUNT.precision, 0))
    return pa.Array.from_buffers(_AMOUNT, len(units), units.buffers())
