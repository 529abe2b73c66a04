"""Encode a table as rows of coords of about unit variance, and decode such rows."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from anomdiff.encoding.casting import restore_cells
from anomdiff.encoding.codecs import CategoryCodec, NumberCodec
from anomdiff.encoding.datetime_codec import DatetimeCodec
from anomdiff.encoding.quantile_transform import RankedNumbers
from anomdiff.encoding.schema import Column, Schema, plain_frame

__all__ = ["TableEncoder"]

# Rows whose ranks are looked up together: their cells fit into the processor's cache.
ENCODED_AT_ONCE = 2048
CODECS: dict[str, Any] = {
    "number": NumberCodec,
    "boolean": NumberCodec,
    "category": CategoryCodec,
    "datetime": DatetimeCodec,
}


class Part(NamedTuple):
    """One used column, and where it is encoded."""

    column: Column
    codec: Any
    indicator: NumberCodec | None  # of missing cells; its coord is the one after ``own``
    own: slice


class TableEncoder:
    """Turns checked frames into arrays of shape (row, coord), and back.

    Every used column owns neighbouring coords: those of its codec and, if cells were missing in
    training, one that says so.

    Parameters
    ----------
    max_categories : int, default=50
        Most values of a category column that get a slot of their own.

    Attributes
    ----------
    schema : Schema
        The columns.
    event_shape : tuple of int
        ``(n_coords,)``.
    features : list of str
        Names of the coords.

    Examples
    --------
    >>> frame = pd.DataFrame({"size": [1, 3, 2], "sold": [True, False, True]})
    >>> schema = Schema.infer(frame)
    >>> encoder = TableEncoder().fit(schema.check(frame), schema)
    >>> encoder.features
    ['size', 'size rank', 'sold']
    >>> values, observed = encoder.encode(schema.check(frame))
    >>> values.round(2).tolist()
    [[-1.22, -0.97, 0.71], [1.22, 0.97, -1.41], [0.0, 0.0, 0.71]]
    >>> encoder.decode(values).equals(frame)
    True
    """

    def __init__(self, *, max_categories: int = 50):
        self.max_categories = max_categories

    def fit(self, frame: pd.DataFrame, schema: Schema) -> Self:
        """Learn the codecs of the used columns of a schema from its checked training rows."""
        if self.max_categories < 1:
            raise ValueError(f"need max_categories >= 1; got {self.max_categories}.")
        columns = []
        for column in schema.used:
            missing = frame[column.name].isna().to_numpy()
            present = frame[column.name].to_numpy()[~missing]
            codec = CODECS[column.kind].fit(present, **self._options(column))
            columns.append((column, codec, _flag(missing) if column.nullable else None))
        return self._set(schema, columns)

    def _options(self, column: Column) -> dict[str, Any]:
        """What the codec of a column has to know beside its cells."""
        if column.kind == "category":
            return {"max_categories": self.max_categories, "novelty": column.novelty}
        return {"cycles": column.cycles} if column.kind == "datetime" else {}

    def encode(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Encode checked rows.

        Returns
        -------
        values : float64 array of shape (row, coord)
            In standard deviations; 0 where not observed.
        observed : bool array of shape (row, coord)
            False for the coords of a missing cell. The coord that says so is always observed.
        """
        values = np.zeros((len(frame), *self.event_shape))
        observed = np.ones(values.shape, dtype=bool)
        place = {name: i for i, name in enumerate(frame.columns.tolist())}
        self._encode_ranked(frame, place, values)
        for column, codec, _, own in self._others:
            values[:, own] = codec.encode(frame[column.name].to_numpy())
        all_missing = frame.isna().to_numpy()
        for column, _, _, own in self._parts:
            missing = all_missing[:, place[column.name]]
            if missing.any():
                values[missing, own] = 0.0
                observed[missing, own] = False
        flagged = all_missing[:, [place[part.column.name] for part in self._flagged]]
        values[:, self._flag_coords] = np.where(flagged, self._flags[2], self._flags[0])
        return values, observed

    def decode(self, values: np.ndarray, *, digits: int | None = None) -> pd.DataFrame:
        """Decode rows of shape (row, coord) into the used columns, in the dtypes of training.

        A cell is missing where the coord that says so is nearer to yes than to no. Floats are
        rounded to some ``digits`` of the largest cell of their column, if these are given.
        """
        columns, floats = {}, {}
        middle = dict(zip(self._flag_coords.tolist(), self._flags[1].tolist(), strict=True))
        for column, codec, indicator, own in self._parts:
            cells = codec.decode(values[:, own])
            if indicator is not None:
                missing = values[:, own.stop] >= middle[own.stop]
                cells[missing] = None if cells.dtype == object else np.array(None, cells.dtype)
            if column.kind == "number" and column.dtype == "float64":
                floats[column.name] = cells
            else:
                columns[column.name] = restore_cells(cells, column)
        if not floats:
            return plain_frame(columns)
        # Plain floats are put together at once: column by column they cost milliseconds.
        cells = np.column_stack(list(floats.values()))
        cells = cells if digits is None else _rounded(cells, digits)
        block = pd.DataFrame(cells, columns=pd.Index([*floats]))
        joined = pd.concat([block, plain_frame(columns)], axis=1) if columns else block
        at = {name: i for i, name in enumerate([*floats, *columns])}
        names = [column.name for column in self.schema.used]
        return joined.iloc[:, [at[name] for name in names]].set_axis(pd.Index(names), axis=1)

    def fold(self, errors: np.ndarray) -> np.ndarray:
        """Sum errors of shape (row, coord) to shape (row, used column)."""
        return np.add.reduceat(errors, self._edges[:-1], axis=1)

    def part(self, column: Any) -> np.ndarray:
        """Return a bool mask of shape (coord,): the coords of one used column."""
        names = [used.name for used in self.schema.used]
        if column not in names:
            raise ValueError(f"need one of the used columns {names}; got {column!r}.")
        i = names.index(column)
        mask = np.zeros(self.event_shape, dtype=bool)
        mask[self._edges[i] : self._edges[i + 1]] = True
        return mask

    def column_masks(self) -> np.ndarray:
        """Return a bool mask of shape (used column, coord): the coords of each used column."""
        owners = np.repeat(np.arange(len(self._parts)), np.diff(self._edges))
        return owners == np.arange(len(self._parts))[:, None]

    def views(self) -> np.ndarray:
        """Return bool masks of shape (view, coord): numbers as distances, and as ranks.

        Every other coord is in both; where no column has a rank there is one view of all coords.
        """
        ranks, distances = np.zeros((2, *self.event_shape), dtype=bool)
        for part in self._ranked:
            distances[part.own.start], ranks[part.own.start + 1] = True, True
        return np.stack([~ranks, ~distances]) if ranks.any() else ~ranks[None]

    def rarity(self) -> np.ndarray:
        """Factors of shape (coord,) that make categories fit for comparing row with row.

        In which rare value two rows differ says more than in which frequent one. 1 elsewhere.
        """
        factors = np.ones(self.event_shape)
        for column, codec, _, own in self._parts:
            if column.kind == "category":
                factors[own] = codec.rarity
        return factors

    def category_codes(self, values: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Which value each category has in encoded rows, missing ones included.

        Returns
        -------
        codes : int array of shape (row, varied)
            One column per category column that takes several values; below `category_sizes`.
        """
        codes = np.empty((len(values), len(self._varied)), dtype=np.int64)
        for i, (_, codec, _, own) in enumerate(self._varied):
            missing = len(codec.shares) + 1
            codes[:, i] = np.where(observed[:, own.start], codec.codes(values[:, own]), missing)
        return codes

    def category_sizes(self) -> list[int]:
        """Return the number of codes of each category column: its slots, and missing."""
        return [len(codec.shares) + 2 for _, codec, _, _ in self._varied]

    def beyond(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Tell which cells of checked rows are new, or out of the range of training."""
        found = {}
        for column, codec, _, _ in self._parts:
            cells = frame[column.name]
            if column.kind == "category":
                found[column.name] = (~cells.isin(codec.known) & cells.notna()).to_numpy()
                continue
            present, out = cells.notna().to_numpy(), np.zeros(len(cells), dtype=bool)
            numbers = cells.to_numpy()[present]
            if column.kind == "datetime":
                numbers = numbers.astype("datetime64[ns]").view(np.int64)
            out[present] = (numbers < codec.low) | (numbers > codec.high)
            found[column.name] = out
        return plain_frame(found)

    def observed(self, values: np.ndarray) -> np.ndarray:
        """Observed mask of encoded rows, as far as coords say what is missing; (row, coord)."""
        mask = np.ones(values.shape, dtype=bool)
        for part, middle in zip(self._flagged, self._flags[1], strict=True):
            mask[values[:, part.own.stop] >= middle, part.own] = False
        return mask

    def require_shown(self, frame: pd.DataFrame) -> None:
        """Refuse checked rows with values, or missing cells, that no coord stands for.

        Raises
        ------
        ValueError
            Naming the column.
        """
        for column, codec, indicator, _ in self._parts:
            cells = frame[column.name]
            if column.kind == "category" and not codec.takes_new_values:
                new = cells[~cells.isin(codec.known)].dropna().unique().tolist()
                if new:
                    raise ValueError(
                        f"need values of column {column.name!r} that training showed; got "
                        f"{new[:5]}: leave these rows out, or fit anew."
                    )
            if indicator is None and cells.isna().any():
                raise ValueError(
                    f"need a value in every row of column {column.name!r}, as in training; "
                    f"{int(cells.isna().sum())} are missing: leave these rows out, or fit anew."
                )

    def to_dict(self) -> dict:
        """Return the fitted encoder as JSON values."""
        return {
            "max_categories": self.max_categories,
            "schema": self.schema.to_dict(),
            "codecs": [part.codec.to_dict() for part in self._parts],
            "indicators": [part.indicator and part.indicator.to_dict() for part in self._parts],
        }

    @classmethod
    def from_dict(cls, state: Mapping) -> Self:
        """Rebuild a fitted encoder from `to_dict`, before or after a trip through JSON."""
        schema = Schema.from_dict(state["schema"])
        codecs = [
            CODECS[column.kind].from_dict(codec)
            for column, codec in zip(schema.used, state["codecs"], strict=True)
        ]
        indicators = [code and NumberCodec.from_dict(code) for code in state["indicators"]]
        encoder = cls(max_categories=state["max_categories"])
        return encoder._set(schema, zip(schema.used, codecs, indicators, strict=True))

    def _set(self, schema: Schema, columns: Iterable[tuple]) -> Self:
        """Keep column, codec and missing-cell codec or None of each used column."""
        self.schema, self.features, self._edges = schema, [], [0]
        self._parts: list[Part] = []
        for column, codec, indicator in columns:
            self.features += codec.labels(column.name)
            own = slice(self._edges[-1], len(self.features))
            self._parts.append(Part(column, codec, indicator, own))
            self.features += [] if indicator is None else [f"{column.name} is missing"]
            self._edges.append(len(self.features))
        self.event_shape = (len(self.features),)
        self._ranked = [part for part in self._parts if getattr(part.codec, "quantiles", ())]
        self._others = [part for part in self._parts if not getattr(part.codec, "quantiles", ())]
        self._varied = [
            part  # a category column that takes several values
            for part in self._parts
            if part.column.kind == "category" and len(part.codec.shares) + bool(part.indicator) > 1
        ]
        self._flagged = [part for part in self._parts if part.indicator]
        self._flag_coords = np.array([part.own.stop for part in self._flagged], dtype=np.intp)
        # What no, neither and yes are encoded as, of shape (3, flagged column).
        known = [part.indicator for part in self._parts if part.indicator]
        ends = [each.encode(np.array([0.0, 0.5, 1.0]))[:, 0] for each in known]
        self._flags = np.array(ends).reshape(-1, 3).T
        self._ranked_numbers = RankedNumbers([part.codec for part in self._ranked])
        return self

    def _encode_ranked(self, frame: pd.DataFrame, place: dict, values: np.ndarray) -> None:
        """Encode all columns that have ranks into their coords."""
        wanted = [place[part.column.name] for part in self._ranked]
        cells = frame.iloc[:, wanted].to_numpy(dtype=np.float64).T
        distances = np.array([part.own.start for part in self._ranked], dtype=np.intp)
        for start in range(0, len(frame), ENCODED_AT_ONCE):
            rows = slice(start, start + ENCODED_AT_ONCE)
            coords = self._ranked_numbers.encode(cells[:, rows])
            values[rows, distances], values[rows, distances + 1] = (each.T for each in coords)


def _flag(missing: np.ndarray) -> NumberCodec:
    """Say whether a cell is missing, in plain 0 and 1.

    In standard deviations the rare gaps of one column would outweigh all that is there.
    """
    return NumberCodec(float(missing.mean()) if len(missing) else 0.0, 1.0, 0.0, 1.0)


def _rounded(cells: np.ndarray, digits: int) -> np.ndarray:
    """Round each column to some digits of its largest cell."""
    size = np.fmax.reduce(np.abs(cells), axis=0, initial=0.0)
    rounded, sized = cells.copy(), (size > 0) & np.isfinite(size)
    places = np.zeros(len(size), dtype=int)
    places[sized] = np.minimum(digits - np.ceil(np.log10(size[sized])), 300)
    for number in np.unique(places[sized]).tolist():
        alike = sized & (places == number)
        rounded[:, alike] = np.round(cells[:, alike], number)
    return rounded
