"""Labels, cells and parameters as JSON values, and back: what JSON lacks has a tag of its type."""

import datetime
import ipaddress
import json
import uuid
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path, PurePath
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

__all__ = [
    "as_label",
    "from_json",
    "label_array",
    "require_labels",
    "require_storable",
    "require_types",
    "to_json",
]

# Tags begin so; the names of fields and of parameters do not.
TAG = "$"


class Tagged(NamedTuple):
    """How values of one type are written and read."""

    type: type | tuple[type, ...]
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _write_timestamp(value: Any) -> list:
    zone = None if value.tzinfo is None else str(value.tzinfo)
    stamp = pd.Timestamp(value)
    return [(stamp if zone is None else stamp.tz_convert("UTC")).isoformat(), stamp.unit, zone]


def _read_timestamp(parts: list) -> pd.Timestamp:
    text, unit, zone = parts
    stamp = pd.Timestamp(text).as_unit(unit)
    return stamp if zone is None else stamp.tz_convert(zone)


# The first type that fits a value: a Timestamp is also a datetime, and that a date.
TYPES = {
    "timestamp": Tagged(pd.Timestamp, _write_timestamp, _read_timestamp),
    "datetime": Tagged(
        datetime.datetime, _write_timestamp, lambda v: _read_timestamp(v).to_pydatetime()
    ),
    "date": Tagged(datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": Tagged(datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
    "duration": Tagged(
        pd.Timedelta,
        lambda v: [int(v.as_unit("ns").value), v.unit],
        lambda v: pd.Timedelta(v[0], "ns").as_unit(v[1]),
    ),
    "timedelta": Tagged(
        datetime.timedelta,
        lambda v: [v.days, v.seconds, v.microseconds],
        lambda v: datetime.timedelta(*v),
    ),
    "datetime64": Tagged(
        np.datetime64, lambda v: [str(v), np.datetime_data(v)[0]], lambda v: np.datetime64(*v)
    ),
    "timedelta64": Tagged(
        np.timedelta64,
        lambda v: [int(v.astype(np.int64)), np.datetime_data(v)[0]],
        lambda v: np.timedelta64(*v),
    ),
    "period": Tagged(
        pd.Period,
        lambda v: [v.ordinal, v.freqstr],
        lambda v: pd.Period(ordinal=v[0], freq=v[1]),
    ),
    "interval": Tagged(
        pd.Interval,
        lambda v: [to_json(v.left), to_json(v.right), v.closed],
        lambda v: pd.Interval(from_json(v[0]), from_json(v[1]), v[2]),
    ),
    "decimal": Tagged(Decimal, str, Decimal),
    "uuid": Tagged(uuid.UUID, str, uuid.UUID),
    "address": Tagged((ipaddress.IPv4Address, ipaddress.IPv6Address), str, ipaddress.ip_address),
    "path": Tagged(PurePath, str, Path),
    "range": Tagged(range, lambda v: [v.start, v.stop, v.step], lambda v: range(*v)),
    "bytes": Tagged(bytes, bytes.hex, bytes.fromhex),
}
# Written without a tag, and read as a tuple where a label or a parameter is a collection.
COLLECTIONS = (tuple, set, frozenset, np.ndarray, pd.Index, pd.Series)


def to_json(value: Any) -> Any:
    """Return a label, a cell or a parameter as what JSON can hold.

    Parameters
    ----------
    value : object
        A scalar of Python, NumPy or pandas, or a collection of such.

    Returns
    -------
    plain : object
        Text, number, bool, None, a list of such, or a dict ``{"$type": ...}``. Numbers of NumPy
        become Python's; tuples, sets, arrays and indices become lists without a tag.

    Raises
    ------
    TypeError
        If no type fits.

    Examples
    --------
    >>> to_json((datetime.date(2026, 1, 31), np.int64(3)))
    [{'$date': '2026-01-31'}, 3]
    >>> from_json(to_json(pd.Period("2026-01", "M")))
    Period('2026-01', 'M')
    """
    if value is None or isinstance(value, str | bool | int | float):
        return _plain(value)
    for name, tagged in TYPES.items():
        if isinstance(value, tagged.type) and value is not pd.NaT:
            return {TAG + name: tagged.write(value)}
    if isinstance(value, np.generic):
        return to_json(value.item())
    if isinstance(value, list):
        return {TAG + "list": [to_json(each) for each in value]}
    if isinstance(value, Mapping):
        return {TAG + "mapping": [[to_json(k), to_json(v)] for k, v in value.items()]}
    if isinstance(value, COLLECTIONS) or _is_collection(value):
        return [to_json(each) for each in value]
    raise TypeError(f"need a value that can be stored; got {type(value).__name__} {value!r}.")


def from_json(value: Any) -> Any:
    """Undo ``to_json``: collections without a tag are tuples."""
    if isinstance(value, list):
        return tuple(from_json(each) for each in value)
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"need one tag of a type; got {sorted(value)}.")
    ((tag, content),) = value.items()
    name = tag.removeprefix(TAG)
    if name == "list":
        return [from_json(each) for each in content]
    if name == "mapping":
        return {from_json(k): from_json(v) for k, v in content}
    if name not in TYPES:
        raise ValueError(f"need a type of {sorted(TYPES)}; got {name!r}.")
    return TYPES[name].read(content)


def as_label(value: Any) -> Any:
    """Label of a column or a series from its JSON value; one that is none already stays."""
    return from_json(value) if isinstance(value, list | dict) else value


def label_array(labels: Collection) -> np.ndarray:
    """Labels as an object array of one dimension, even if all of them are pairs."""
    array = np.empty(len(labels), dtype=object)
    array[:] = [*labels]
    return array


def require_storable(what: str, value: Any) -> None:
    """Refuse what ``save`` could not write or ``load`` would not give back equal.

    Parameters
    ----------
    what : str
        Where the value comes from, for the message, such as ``"column label"``.
    value : object
        Label or parameter.

    Raises
    ------
    ValueError
        Naming the value and its type.
    """
    try:
        stored = json.loads(json.dumps(to_json(value)))
        same = _equal(from_json(stored), value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        same = False
    if not same:
        raise ValueError(
            f"need a {what} that can be stored, such as text, a number or a date; got "
            f"{type(value).__name__} {value!r}: convert it to text."
        )


def require_types(cls: type, fields: Mapping[str, Any]) -> None:
    """Refuse fields of a stored dataclass that have not the type that it says.

    Raises
    ------
    ValueError
        Naming the field and what came.
    """
    hints = get_type_hints(cls)
    for name, value in fields.items():
        if name not in hints or not _fits(value, hints[name]):
            raise ValueError(
                f"need '{name}' of a stored {cls.__name__} as {hints.get(name)}; got {value!r:.80}."
            )


def require_labels(columns: pd.Index) -> None:
    """Refuse columns without a name, and names that could not be stored or pick no column."""
    for place, label in enumerate(columns.tolist()):
        if pd.api.types.is_scalar(label) and pd.isna(label):
            raise ValueError(
                f"need a name for every column; got {label!r} for that at place {place}: set "
                "frame.columns."
            )
        if isinstance(label, bool | np.bool_):
            raise ValueError(
                f"need column names of text, numbers or dates; got {label!r} at place {place}, by "
                "which pandas picks rows: set frame.columns."
            )
        require_storable("column label", label)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type: a scalar, ``tuple[..., ...]``, or one of several."""
    if hint is Any:
        return True
    inner = get_args(hint)
    if isinstance(hint, UnionType):
        return any(_fits(value, each) for each in inner)
    if get_origin(hint) is tuple or hint is tuple:
        return isinstance(value, tuple) and all(_fits(v, inner[0]) for v in value if inner)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _plain(value: Any) -> Any:
    """Plain Python scalar: subclasses (``np.str_``, ``np.float64``, ``IntEnum``) lose theirs."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind.__str__(value) if kind is str else kind(value)
    return value


def _is_collection(value: Any) -> bool:
    """Whether a value, such as the keys of a dict, is a list of things that can be read again."""
    return isinstance(value, Collection) and not isinstance(value, str | bytes)


def _equal(stored: Any, value: Any) -> bool:
    """Whether what would come back is the same, collections element by element."""
    if isinstance(value, Mapping):
        return stored == dict(value)
    if _is_collection(value) or isinstance(value, COLLECTIONS):
        pairs = zip(stored, value, strict=True)
        return all(_equal(*pair) for pair in pairs)
    return bool(stored == value) or (value != value and stored != stored)
