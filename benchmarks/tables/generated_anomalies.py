"""Kinds of anomalies: functions that change the rows of a frame, by what is normal, into anomalies.

Each takes the rows to change, the normal rows and a generator, and returns changed copies. Whole
numbers stay whole.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

__all__ = [
    "Spoil",
    "clustered",
    "each_of",
    "far_out",
    "misplaced",
    "multiplied",
    "rare_share",
    "shifted",
    "stuck",
]

Generator = np.random.Generator
Spoil = Callable[[pd.DataFrame, pd.DataFrame, Generator], pd.DataFrame]


def far_out(
    columns: Sequence[str], n_columns: int = 1, beyond: tuple[float, float] = (0.02, 0.5)
) -> Spoil:
    """Beyond the largest normal value in as many of the columns, drawn for each row.

    Beyond is in units of the distance from the median to the largest value.
    """

    def spoil(rows: pd.DataFrame, normal: pd.DataFrame, rng: Generator) -> pd.DataFrame:
        top = normal[[*columns]].max().to_numpy(dtype=float)
        reach = top - normal[[*columns]].median().to_numpy(dtype=float)
        values = top + reach * rng.uniform(*beyond, (len(rows), len(columns)))
        chosen = _choose(len(rows), len(columns), n_columns, rng)
        return _put(rows, columns, values, chosen, np.ceil)

    return spoil


def multiplied(columns: Sequence[str], factor: tuple[float, float]) -> Spoil:
    """All the columns times a factor, drawn for each row, so that they still fit each other."""

    def spoil(rows: pd.DataFrame, normal: pd.DataFrame, rng: Generator) -> pd.DataFrame:
        values = rows[[*columns]].to_numpy(dtype=float)
        return _put(rows, columns, values * rng.uniform(*factor, (len(rows), 1)))

    return spoil


def misplaced(columns: Sequence[str], least: float = 0.3) -> Spoil:
    """Another normal row's values in the columns, at least this share of the ranks away.

    The share is in [0, 0.5]. Each value is as usual, but not beside the row's other columns.
    """

    def spoil(rows: pd.DataFrame, normal: pd.DataFrame, rng: Generator) -> pd.DataFrame:
        by_first = normal.sort_values(columns[0])[[*columns]]
        rank = np.searchsorted(by_first[columns[0]], rows[columns[0]]) / len(normal)
        other = (rank + rng.uniform(least, 1 - least, len(rows))) % 1
        source = by_first.iloc[(other * len(normal)).astype(int)]
        return rows.assign(**{name: source[name].to_numpy() for name in columns})

    return spoil


def rare_share(
    columns: Sequence[str], amount: str, ranks: tuple[float, float] = (0.8, 0.99)
) -> Spoil:
    """One of the mostly empty columns filled as normal rows fill it, with a large amount.

    The amount lies between two quantiles of the normal ones: nothing is extreme by itself.
    """

    def spoil(rows: pd.DataFrame, normal: pd.DataFrame, rng: Generator) -> pd.DataFrame:
        filled = np.column_stack(
            [rng.choice(normal[name][normal[name] > 0], len(rows)) for name in columns]
        )
        spoilt = _put(rows, columns, filled, _choose(len(rows), len(columns), 1, rng))
        large = normal[amount].quantile(rng.uniform(*ranks, len(rows))).to_numpy()
        return spoilt.assign(**{amount: large})

    return spoil


def clustered(centre: Mapping[str, float], spread: float = 0.1) -> Spoil:
    """Near a centre, with a spread relative to it; other columns stay as they are."""

    def spoil(rows: pd.DataFrame, normal: pd.DataFrame, rng: Generator) -> pd.DataFrame:
        around = np.exp(spread * rng.normal(size=(len(rows), len(centre))))
        return _put(rows, [*centre], np.array([*centre.values()]) * around)

    return spoil


def shifted(size: tuple[float, float]) -> Spoil:
    """One column, drawn for each row, up or down by so many of its standard deviations."""

    def spoil(rows: pd.DataFrame, normal: pd.DataFrame, rng: Generator) -> pd.DataFrame:
        sign = rng.choice([-1, 1], rows.shape)
        values = rows + sign * rng.uniform(*size, rows.shape) * normal.std().to_numpy()
        chosen = _choose(len(rows), len(rows.columns), 1, rng)
        return _put(rows, [*rows], values.to_numpy(), chosen)

    return spoil


def stuck(n_sensors: int, ranks: tuple[float, float] = (0.1, 0.9)) -> Spoil:
    """One of a few columns, drawn for each row, that reads a constant between two quantiles."""

    def spoil(rows: pd.DataFrame, normal: pd.DataFrame, rng: Generator) -> pd.DataFrame:
        columns = rng.choice(normal.columns, n_sensors, replace=False)
        constants = [normal[name].quantile(rng.choice(ranks)) for name in columns]
        values = np.tile(constants, (len(rows), 1))
        return _put(rows, [*columns], values, _choose(len(rows), n_sensors, 1, rng))

    return spoil


def each_of(kinds: Sequence[Spoil]) -> Spoil:
    """As many anomalies of each kind."""

    def spoil(rows: pd.DataFrame, normal: pd.DataFrame, rng: Generator) -> pd.DataFrame:
        parts = (rows.iloc[i :: len(kinds)] for i in range(len(kinds)))
        made = [kind(part, normal, rng) for kind, part in zip(kinds, parts, strict=True)]
        return pd.concat(made).loc[rows.index]

    return spoil


def _choose(n_rows: int, n_columns: int, n_chosen: int, rng: Generator) -> np.ndarray:
    """As many random columns of each row: a mask of shape (row, column)."""
    return rng.random((n_rows, n_columns)).argsort(axis=1) < n_chosen


def _put(
    rows: pd.DataFrame,
    columns: Sequence[str],
    values: np.ndarray,
    chosen: np.ndarray | bool = True,
    whole: Callable[[np.ndarray], np.ndarray] = np.round,
) -> pd.DataFrame:
    """Copy of the rows with values in the chosen cells, of the types that the columns have."""
    chosen = np.broadcast_to(chosen, values.shape)
    changed = {}
    for i, name in enumerate(columns):
        new = whole(values[:, i]) if pd.api.types.is_integer_dtype(rows[name]) else values[:, i]
        changed[name] = np.where(chosen[:, i], new, rows[name]).astype(rows[name].dtype)
    return rows.assign(**changed)
