"""Arrow types as tables are read: one for each column of all parts, and cells brought to it."""

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

__all__ = [
    "as_pandas",
    "cast_cells",
    "copied_type",
    "is_binary",
    "is_nested",
    "leaves",
    "unified_type",
]

FLOAT_WHOLE = 2**53  # from here on a float cannot tell neighbours apart
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
Leaf = tuple[str, tuple[str, ...], pa.DataType]  # name, path from the column down, type


def leaves(schema: pa.Schema) -> list[Leaf]:
    """Columns of a schema, with those within structs (`address.city`); no saved row index.

    Examples
    --------
    >>> struct = pa.struct([("city", pa.string())])
    >>> leaves(pa.schema([("id", pa.int64()), ("address", struct)]))[1][:2]
    ('address.city', ('address', 'city'))
    """
    fields = [field for field in schema if not field.name.startswith("__index_level_")]
    return [leaf for field in fields for leaf in _leaves(field.type, (field.name,))]


def unified_type(kinds: Iterable[pa.DataType]) -> pa.DataType:
    """Type that holds the cells of all given types.

    Whole numbers and fractions become float64, what has any text becomes text, times in several
    units have microseconds, and naive times beside zoned ones are UTC. Nested cells are text
    (JSON), durations and times of the day are seconds.
    """
    found = list(dict.fromkeys(map(_plain, kinds)))
    found = [kind for kind in found if not types.is_null(kind)] or [pa.null()]
    if len(found) == 1:
        return found[0]
    values = list(dict.fromkeys(_value_type(kind) for kind in found))
    if len(values) == 1:
        return values[0]
    if all(map(_is_number, values)):
        return _number(values)
    if all(types.is_timestamp(kind) or types.is_date(kind) for kind in values):
        return _timestamp(values)
    return pa.large_string() if pa.large_string() in values else pa.string()


def copied_type(kind: pa.DataType) -> pa.DataType:
    """Type in which cells can be copied, whatever a batch holds."""
    kind = _value_type(_plain(kind))
    return pa.string() if types.is_null(kind) else kind


def as_pandas(table: pa.RecordBatch | pa.Table) -> pd.DataFrame:
    """Rows as pandas holds them; whole numbers that a float could not hold stay exact."""
    frame = table.to_pandas(date_as_object=False)
    for field in table.schema:
        cells = table.column(field.name)
        if types.is_integer(field.type) and cells.null_count:
            span = pc.min_max(cells).as_py()
            if span["max"] is not None and max(span["max"], -span["min"]) > FLOAT_WHOLE:
                frame[field.name] = cells.to_pandas(types_mapper=_nullable)
    return frame


def cast_cells(cells: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cells in the type that `unified_type` has found for them."""
    source = cells.type
    if source == kind:
        return cells
    if isinstance(source, pa.BaseExtensionType):
        return cast_cells(cells.storage, kind)
    if types.is_dictionary(source):
        return cast_cells(cells.dictionary_decode(), kind)
    if is_nested(source):
        return pa.array([_json(cell) for cell in cells.to_pylist()], pa.string()).cast(kind)
    if types.is_duration(source) or types.is_time(source):
        ticks = cells.cast(pa.int32() if types.is_time32(source) else pa.int64())
        return pc.divide(ticks.cast(pa.float64()), float(PER_SECOND[source.unit])).cast(kind)
    if is_binary(source):
        return _decoded(cells).cast(kind)
    return cells.cast(kind, safe=False)


def is_nested(kind: pa.DataType) -> bool:
    """Whether cells hold several values, which are read as text."""
    return types.is_nested(kind) or types.is_interval(kind)


def is_binary(kind: pa.DataType) -> bool:
    """Whether cells are bytes, which are read as text."""
    return (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or kind == pa.binary_view()
    )


def _leaves(kind: pa.DataType, path: tuple[str, ...]) -> list[Leaf]:
    if not types.is_struct(kind) or not kind.num_fields:
        return [(".".join(path), path, kind)]
    return [leaf for field in kind for leaf in _leaves(field.type, (*path, field.name))]


def _plain(kind: pa.DataType) -> pa.DataType:
    """Type in which pandas and the encoder can hold what is of a type."""
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(kind.storage_type)
    if types.is_dictionary(kind):
        return kind if _plain(kind.value_type) == kind.value_type else _plain(kind.value_type)
    if types.is_decimal(kind) or types.is_duration(kind) or types.is_time(kind):
        return pa.float64()
    text = is_binary(kind) or is_nested(kind) or kind == pa.string_view()
    return pa.string() if text else kind


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if types.is_dictionary(kind) else kind


def _is_number(kind: pa.DataType) -> bool:
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _number(kinds: list[pa.DataType]) -> pa.DataType:
    """Narrowest type for all; float64 for what no integer holds."""
    numbers = [kind for kind in kinds if not types.is_boolean(kind)]
    if pa.uint64() in numbers and any(map(types.is_signed_integer, numbers)):
        return pa.float64()
    schemas = [pa.schema([("x", kind)]) for kind in numbers]
    return pa.unify_schemas(schemas, promote_options="permissive").field("x").type


def _timestamp(kinds: list[pa.DataType]) -> pa.DataType:
    times = [kind for kind in kinds if types.is_timestamp(kind)]
    units = {kind.unit for kind in times}
    zones = {kind.tz for kind in times}
    unit = units.pop() if len(units) == 1 and len(times) == len(kinds) else "us"
    return pa.timestamp(unit, zones.pop() if len(zones) == 1 else "UTC")


def _decoded(cells: pa.Array) -> pa.Array:
    """Text of bytes; those that are not UTF-8 are written as escapes."""
    texts = (
        None if cell is None else cell.decode("utf-8", errors="backslashreplace")
        for cell in cells.to_pylist()
    )
    return pa.array(texts, pa.string())


def _json(cell: Any) -> str | None:
    return None if cell is None else json.dumps(cell, default=str, ensure_ascii=False)


def _nullable(kind: pa.DataType) -> pd.api.extensions.ExtensionDtype:
    return pd.array([], dtype="UInt64" if kind == pa.uint64() else "Int64").dtype
