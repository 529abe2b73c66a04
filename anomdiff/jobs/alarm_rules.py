"""Rules of the settings: which alarms are silenced, and which rows are not learned from."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from anomdiff.jobs.labels import Value, is_normal
from anomdiff.jobs.readers import Name, match_columns

__all__ = ["AlarmRule", "LearnRule", "Scope", "in_scope", "scope_columns"]


def _values(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


# Columns with the value, or the values, that rows have which a rule is about.
Scope = dict[str, Annotated[tuple[Value, ...], BeforeValidator(_values), Field(min_length=1)]]


class _Rule(BaseModel):
    """A table of settings; a key that is not known is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class AlarmRule(_Rule):
    """Which alarms of `anomdiff score` are silenced."""

    name: str | None = Field(default=None, min_length=1)
    """What `muted_by` and the summary call the rule; `rule 1` and so on if not given."""
    where: Scope = {}
    """Columns of the table and the values of the rows that the rule is about; all if not given."""
    mute_until: date | None = None
    """First batch date on which there are alarms again."""
    column: Name | None = None
    """Column of numbers of the model: the rule is about alarms of which it is the first reason."""
    direction: Literal["above", "below"] | None = None
    """Side of what is expected on which the value has to lie."""
    smallest_change: float | None = Field(default=None, ge=0)
    """Least distance between the value and what is expected, in units of the column."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        of_column = self.direction is not None or self.smallest_change is not None
        if of_column != (self.column is not None):
            raise ValueError(
                "need `column` and `direction` or `smallest_change` together in a rule; got one"
            )
        if not of_column and self.mute_until is None:
            raise ValueError("need `mute_until`, `direction` or `smallest_change` in a rule")
        return self


class LearnRule(_Rule):
    """Which rows `anomdiff train` leaves out."""

    where: Scope = Field(min_length=1)
    """Columns of the table and the values of the rows that the rule is about."""
    learn: Literal[False]
    """False: such rows are not learned from."""


def in_scope(where: Mapping[str, Sequence[Value]], cells: pd.DataFrame) -> pd.Series:
    """Whether rows have the wanted values in all columns of a scope, as text or as numbers."""
    found = pd.Series(True, index=cells.index)
    for name, column in match_columns(list(where), list(cells)).items():
        found &= is_normal(cells[column], where[str(name)])
    return found


def scope_columns(rules: Sequence[AlarmRule | LearnRule]) -> list[str]:
    """Columns that the scopes of rules name."""
    return list(dict.fromkeys(name for rule in rules for name in rule.where))
