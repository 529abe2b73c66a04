"""Settings of the jobs: read from a TOML file and checked, so that a typo is an error."""

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from anomdiff.jobs.exit_codes import SettingsError, SettingsMissing
from anomdiff.jobs.labels import Value
from anomdiff.jobs.readers import FileOptions, Name
from anomdiff.jobs.row_files import ROW_FILES
from anomdiff.monitoring.drift import DriftLimits
from anomdiff.selection.comparison import PromotionRule

__all__ = [
    "MonitorSettings",
    "PromoteSettings",
    "ScoreSettings",
    "Settings",
    "TrainSettings",
    "with_assignments",
]

NAME = "anomdiff"
CHAMPION = f"models:/{NAME}@champion"


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _separator(value: str) -> str:
    value = {"tab": "\t", "\\t": "\t", "space": " ", "blank": " "}.get(value, value)
    if len(value) not in (1, 2):
        raise ValueError("need one character or two, 'tab' or a blank")
    return value


Separator = Annotated[str, AfterValidator(_separator)]
Values = Annotated[tuple[Value, ...], BeforeValidator(_listed)]
Columns = Annotated[tuple[Name, ...], BeforeValidator(_listed)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Rule(PromotionRule):
    """The rule of a promotion, checked."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Limits(DriftLimits):
    """The limits of drift, checked."""


class Settings(BaseModel):
    """Settings of every job; a key that is not known is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    header: bool | None = None
    """Does the first line of a text file name the columns? If not, they are 0, 1, 2, ..."""
    separator: Separator | None = None
    """Separator of a text file: one character or two, a blank for any run of blanks, or 'tab'."""
    decimal: Literal[".", ","] | None = None
    """Decimal mark of the numbers in a text file."""
    encoding: str | None = None
    """Encoding of a text file, such as cp1252."""
    skip_lines: int | None = Field(default=None, ge=0)
    """Lines of a text file to leave out above its header."""
    label: Name | None = None
    """Column that says what a row is. It never reaches the model."""
    normal: Values = ()
    """Value or values of the label that mean a normal row; required with a label."""

    @classmethod
    def load(cls, path: Path | str | None, overrides: Mapping[str, object] | None = None) -> Self:
        """Read settings from a TOML file; `overrides` that are given win over it.

        The override `assignments` has texts such as "detector.alpha=0.05", which win over both.

        Raises
        ------
        SettingsError
            If the file is not TOML, or a key is unknown, missing or has a wrong value.
        SettingsMissing
            If there is no such file.
        """
        options: dict[str, Any] = dict(overrides or {})
        assigned = options.pop("assignments", ())
        given = {key: value for key, value in options.items() if value not in (None, ())}
        merged = with_assignments({**_read_toml(path), **given}, assigned)
        try:
            return cls.model_validate(merged)
        except ValidationError as error:
            source = "the command line" if path is None else str(path)
            raise SettingsError(f"{source}: {_sentence(error, cls)}.") from None

    @property
    def file_options(self) -> FileOptions:
        """How text files are written; what is not set is found by looking at them."""
        return FileOptions(
            self.separator, self.decimal, self.encoding, self.skip_lines, self.header
        )

    @model_validator(mode="after")
    def _label_has_normal_values(self) -> Self:
        if self.label is not None and not self.normal:
            raise ValueError(f"need `normal`, the value of column {self.label!r} that means normal")
        return self


class TrainSettings(Settings):
    """Settings of `anomdiff.jobs.train`."""

    data: Path
    """Table to train on: a CSV, JSON lines, parquet or Excel file, or a folder or glob of them."""
    estimator: Literal["tabular", "timeseries"] = "tabular"
    """'tabular', or 'timeseries' for steps of series: not normal ones then count as missing."""
    series: Name | None = None
    """Column that tells the series apart; without it the rows are one series."""
    time: Name | None = None
    """Column of the time of a step; without it the steps are in their order."""
    drop: Columns = ()
    """Column or columns to leave out."""
    kinds: dict[str, Literal["number", "category", "boolean", "datetime", "ignored"]] = {}
    """Kinds of columns of a table that replace the inferred ones."""
    max_rows: int | None = Field(default=None, gt=0)
    """Train on a random sample of this many rows of a table; all rows if not given."""
    experiment: str = NAME
    """MLflow experiment of the run."""
    model_name: str = NAME
    """Name of the logged model."""
    registered_name: str = NAME
    """Registered model to make a version of."""
    detector: dict[str, Any] = {}
    """Parameters of `TabularDetector` or `TimeSeriesDetector`, such as `random_state`."""

    @model_validator(mode="after")
    def _fits_the_estimator(self) -> Self:
        others = ("kinds", "max_rows") if self.estimator == "timeseries" else ("series", "time")
        given = [key for key in others if getattr(self, key) not in (None, {})]
        if given:
            other = "tabular" if self.estimator == "timeseries" else "timeseries"
            raise ValueError(
                f"need `estimator = {other!r}` for {given}; got estimator {self.estimator!r}"
            )
        inside = [key for key in ("series", "time") if key in self.detector]
        if inside:
            raise ValueError(f"need {inside} beside `estimator`; got them in `detector`")
        return self


class ScoreSettings(Settings):
    """Settings of `anomdiff.jobs.score`."""

    data: Path
    """Table to score."""
    model: str = CHAMPION
    """MLflow URI of the model, such as models:/NAME@champion."""
    output: Path
    """Scored parquet file to write; the summary lies beside it, named `STEM.summary.json`."""
    batch_size: int = Field(default=50_000, gt=0)
    """Rows in memory at a time; of series, whole ones, even if one is longer."""
    keep: Columns = ()  # ("all",) for all columns
    """Column or columns to copy to the output; 'all' for all."""
    max_alarm_rate: float = Field(default=0.1, ge=0, le=1)
    """With more alarms than this share of the rows, and `max_alarm_factor`, the exit code is 7."""
    max_alarm_factor: float = Field(default=20.0, gt=0)
    """Alarms that make no sense, in times of alpha; half of the rows at most."""
    alarms: Path | None = None
    """Alarm table to write, .csv, .jsonl or .parquet: rows with reasons, or incidents of series."""
    key: Columns = ()
    """Column or columns that tell rows apart, copied to the scored file and to the alarm table."""
    batch_date: date | None = None
    """Date of the batch in the alarm table, as 2026-01-31; today if not given."""
    reasons: int = Field(default=3, ge=1)
    """Columns that the alarm table explains an alarm by."""
    max_explained: int = Field(default=100, ge=0)
    """Most alarms, or incidents, that are explained: those of the highest scores."""
    join: int = Field(default=0, ge=0)
    """Alarms of a series at most this many steps apart are one incident."""
    previous: Path | None = None
    """Last night's incidents, which keep their ids; by default those that `alarms` holds."""
    quarantine: Path | None = None
    """Table to write, .csv, .jsonl or .parquet, of rows that cannot be read, instead of failing."""

    @field_validator("alarms", "previous", "quarantine")
    @classmethod
    def _is_a_table(cls, path: Path | None) -> Path | None:
        if path is not None and path.suffix not in ROW_FILES:
            raise ValueError(f"need a file named {', '.join(ROW_FILES)}")
        return path

    @model_validator(mode="after")
    def _writes_other_files(self) -> Self:
        given = {"output": self.output, "alarms": self.alarms, "quarantine": self.quarantine}
        by_path: dict[Path, str] = {}
        for name, path in given.items():
            if path is not None and (other := by_path.setdefault(path.resolve(), name)) != name:
                raise ValueError(f"need another file for `{name}` than for `{other}`")
        return self


class PromoteSettings(Settings):
    """Settings of `anomdiff.jobs.promote`."""

    data: Path | None = None
    """Recent rows to compare on, new to both models; not needed for a rollback."""
    registered_name: str = NAME
    """Registered model."""
    experiment: str = NAME
    """MLflow experiment that keeps the verdicts."""
    rule: Rule = Rule()
    """Fields of `anomdiff.selection.comparison.PromotionRule`."""


class MonitorSettings(Settings):
    """Settings of `anomdiff.jobs.monitor`."""

    data: Path
    """The batch to compare with training."""
    model: str = CHAMPION
    """MLflow URI of the model, such as models:/NAME@champion."""
    scored: Path | None = None
    """The batch as `anomdiff score` has scored it; scored now if not given."""
    reference: Path | None = None
    """Training rows to compare with; by default the profile that training has logged."""
    output: Path
    """JSON file to write."""
    experiment: str = f"{NAME}-monitor"
    """MLflow experiment of the runs, one per batch."""
    limits: Limits = Limits()
    """Fields of `anomdiff.monitoring.drift.DriftLimits`."""


def with_assignments(values: Mapping[str, object], assignments: Iterable[str]) -> dict[str, object]:
    """Values with those of texts such as "detector.alpha=0.05" put in their places.

    What is right of the first "=" is read as TOML; if it is none, as text.

    Raises
    ------
    ValueError
        If a text has no key, or its place is in what is no table.
    """
    found: dict[str, Any] = {**values}
    for text in assignments:
        path, sign, written = text.partition("=")
        *tables, key = path.strip().split(".")
        if not sign or not all([*tables, key]):
            raise SettingsError(
                f"need --set as KEY=VALUE, such as detector.alpha=0.05; got {text!r}."
            )
        place = found
        for name in tables:
            inner = place.get(name, {})
            if not isinstance(inner, Mapping):
                raise SettingsError(f"need a table at {name!r} for --set {text}; got {inner!r}.")
            place[name] = {**inner}
            place = place[name]
        place[key] = _toml_or_text(written.strip())
    return found


def _toml_or_text(written: str) -> object:
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written


def _read_toml(path: Path | str | None) -> dict[str, object]:
    if path is None:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: need a TOML file; {error}.") from None
    except FileNotFoundError:
        raise SettingsMissing(f"need a settings file at {path}; there is none.") from None


def _sentence(error: ValidationError, settings: type[Settings]) -> str:
    """One mistake as a sentence that names the key; a misspelt key comes first."""
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; known keys are {', '.join(sorted(settings.model_fields))}"
    if first["type"] == "missing":
        return f"need a value for {key!r}; got none"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key!r}: {message}; got {first['input']!r}" if key else message
