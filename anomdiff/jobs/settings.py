"""Settings of the jobs, each read from a TOML file and checked, so that a typo is an error."""

from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from anomdiff.jobs.alarm_rules import AlarmRule, LearnRule
from anomdiff.jobs.alerts.alert_settings import AlertSettings
from anomdiff.jobs.base_settings import CHAMPION, NAME, Columns, Location, Settings, Source, Target
from anomdiff.jobs.readers import Name
from anomdiff.jobs.row_files import ROW_FILES
from anomdiff.jobs.spark_settings import SparkSettings
from anomdiff.jobs.stores.databases import SqlSource, SqlTarget
from anomdiff.jobs.stores.locations import FilePath
from anomdiff.monitoring.drift import DriftLimits
from anomdiff.selection.comparison import PromotionRule

__all__ = ["MonitorSettings", "PromoteSettings", "ScoreSettings", "TrainSettings"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Rule(PromotionRule):
    """The rule of a promotion, checked."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Limits(DriftLimits):
    """The limits of drift, checked."""


class TrainSettings(Settings):
    """Settings of `anomdiff.jobs.train`."""

    data: Source
    """Table to train on: a CSV, JSON lines, parquet or Excel file, or a folder or glob of them."""
    estimator: Literal["tabular", "timeseries"] = "tabular"
    """'tabular', or 'timeseries' for steps of series: not normal ones then count as missing."""
    series: Name | None = None
    """Column that tells the series apart; without it the rows are one series."""
    time: Name | None = None
    """Column of the time of a step; without it the steps are in their order."""
    by: Name | None = None
    """Column of a table, such as a country: a model per value of it, a shared one for rare ones."""
    min_rows: int | None = Field(default=None, gt=0)
    """Rows that a value of `by` needs for its own model; 500 and 10 / alpha if not given."""
    drop: Columns = ()
    """Column or columns to leave out."""
    kinds: dict[str, Literal["number", "category", "boolean", "datetime", "ignored"]] = Field(
        default={}
    )
    """Kinds of columns of a table that replace the inferred ones."""
    max_rows: int | None = Field(default=None, gt=0)
    """Train on a random sample of this many rows of a table; all rows if not given."""
    experiment: str = NAME
    """MLflow experiment of the run."""
    model_name: str = NAME
    """Name of the logged model."""
    registered_name: str = NAME
    """Registered model to make a version of."""
    fitted: Path | None = None
    """Folder `unlogged-...` that a stopped training has left: registered without another fit."""
    force: bool = False
    """Train even if there is a version of the same rows and settings."""
    detector: dict[str, Any] = Field(default={})
    """Parameters of `TabularDetector` or `TimeSeriesDetector`, such as `random_state`."""
    rules: tuple[LearnRule, ...] = ()
    """Rows not to learn from, tables [[rules]] with `where = {column = value}`, `learn = false`."""

    @model_validator(mode="after")
    def _fits_the_estimator(self) -> Self:
        others = (
            ("kinds", "max_rows", "by", "min_rows")
            if self.estimator == "timeseries"
            else ("series", "time")
        )
        given = [key for key in others if getattr(self, key) not in (None, {})]
        if given:
            other = "tabular" if self.estimator == "timeseries" else "timeseries"
            raise ValueError(
                f"need `estimator = {other!r}` for {given}; got estimator {self.estimator!r}"
            )
        inside = [key for key in ("series", "time", "by", "min_rows") if key in self.detector]
        if inside:
            raise ValueError(f"need {inside} beside `estimator`; got them in `detector`")
        if self.min_rows is not None and self.by is None:
            raise ValueError("need `by`, the column whose values `min_rows` is about; got none")
        return self


class ScoreSettings(Settings):
    """Settings of `anomdiff.jobs.score`."""

    data: Source
    """Table to score."""
    model: str = CHAMPION
    """MLflow URI of the model, such as models:/NAME@champion."""
    output: Target
    """Scored parquet file to write; the summary lies beside it, named `STEM.summary.json`."""
    summary: Location | None = None
    """JSON file of the summary, if it is not to lie beside the output; none for a database."""
    batch_date: date | None = None
    """Date of the batch, as 2026-01-31: a folder where `output` is one, else a column; in the alarm
    table today if not given."""
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
    reasons: int = Field(default=3, ge=1)
    """Columns that the alarm table explains an alarm by."""
    max_explained: int = Field(default=100, ge=0)
    """Most alarms, or incidents, that are explained: those of the highest scores."""
    join: int = Field(default=0, ge=0)
    """Alarms of a series at most this many steps apart are one incident."""
    previous: Path | None = None
    """Last night's incidents, which keep their ids; by default those that `alarms` holds."""
    overwrite: bool = False
    """Score a batch date again that was scored from other rows, by another model or otherwise."""
    quarantine: Path | None = None
    """Table to write, .csv, .jsonl or .parquet, of rows that cannot be read, instead of failing."""

    most_alarms: int | None = Field(default=None, ge=0)
    """Most lines of the alarm table that are not muted: those of the highest priority."""
    feedback: Location | None = None
    """Store of `anomdiff feedback`: alarms like a judged false one are muted, by its verdict."""
    feedback_radius: float | None = Field(default=None, ge=0)
    """How like, in encoded standard deviations; as normal rows and their nearest if not given."""
    rules: tuple[AlarmRule, ...] = ()
    """What mutes alarms, as tables [[rules]]: see docs/feedback.md."""
    alert: AlertSettings | None = None
    """Message of a night and where it goes, as a table [alert]: see docs/alerts.md."""
    engine: Literal["local", "spark"] = "local"
    """'spark' scores by Spark, with the same results: see docs/many-machines.md."""
    spark: SparkSettings | None = None
    """Spark's `master`, `packages`, `config` and `format`, as a table [spark]."""

    @field_validator("alarms", "previous", "quarantine")
    @classmethod
    def _is_a_table(cls, path: Path | None) -> Path | None:
        if path is not None and path.suffix not in ROW_FILES:
            raise ValueError(f"need a file named {', '.join(ROW_FILES)}")
        return path

    @model_validator(mode="after")
    def _writes_other_files(self) -> Self:
        given = {"output": self.output, "alarms": self.alarms, "quarantine": self.quarantine}
        by_path: dict[FilePath, str] = {}
        for name, path in given.items():
            if path is None or isinstance(path, SqlTarget):
                continue
            if (other := by_path.setdefault(path.resolve(), name)) != name:
                raise ValueError(f"need another file for `{name}` than for `{other}`")
        return self

    @model_validator(mode="after")
    def _mutes_lines_of_a_table(self) -> Self:
        asked = {"rules": self.rules, "most_alarms": self.most_alarms, "feedback": self.feedback}
        given = [name for name, value in asked.items() if value not in (None, ())]
        if given and self.alarms is None:
            raise ValueError(f"need `alarms`, the table whose lines {given} mute")
        if self.alert is not None and self.alarms is None:
            raise ValueError("need `alarms`, the table that the message of [alert] tells of")
        if self.feedback is None and self.feedback_radius is not None:
            raise ValueError("need `feedback`, the store that `feedback_radius` is about")
        return self

    @model_validator(mode="after")
    def _fits_the_engine(self) -> Self:
        if self.engine == "local":
            if self.spark is not None and self.spark.format != "files":
                raise ValueError("need `engine = 'spark'` for `format` of [spark]; got 'local'")
            return self
        asked = {
            "a database as `data`": isinstance(self.data, SqlSource),
            "a database as `output`": isinstance(self.output, SqlTarget),
            "`quarantine`": self.quarantine is not None,
            "`skip_lines`": bool(self.skip_lines),
            "`decimal`": self.decimal == ",",
            "blanks or two characters as `separator`": len((self.separator or ",").strip(" ")) != 1,
        }
        if given := [name for name, is_given in asked.items() if is_given]:
            raise ValueError(f"need `engine = 'local'` for {', '.join(given)}; got 'spark'")
        return self

    @property
    def has_folders(self) -> bool:
        """Whether the scored file of each batch date lies in a folder of its own."""
        if isinstance(self.output, SqlTarget) or self.batch_date is None:
            return False
        return self.output.suffix != ".parquet"


class PromoteSettings(Settings):
    """Settings of `anomdiff.jobs.promote`."""

    data: Source | None = None
    """Recent rows to compare on, new to both models; not needed for a rollback."""
    registered_name: str = NAME
    """Registered model."""
    experiment: str = NAME
    """MLflow experiment that keeps the verdicts."""
    rule: Rule = Rule()
    """Fields of `anomdiff.selection.comparison.PromotionRule`."""


class MonitorSettings(Settings):
    """Settings of `anomdiff.jobs.monitor`."""

    data: Source
    """The batch to compare with training."""
    model: str = CHAMPION
    """MLflow URI of the model, such as models:/NAME@champion."""
    scored: Location | None = None
    """The batch as `anomdiff score` has scored it; scored now if not given."""
    reference: Source | None = None
    """Training rows to compare with; by default the profile that training has logged."""
    output: Location
    """JSON file to write."""
    batch_date: date | None = None
    """Date of the batch, as 2026-01-31: its step in the history; today if not given."""
    experiment: str = f"{NAME}-monitor"
    """MLflow experiment of the runs: one per batch, and one with the history of each model."""
    limits: Limits = Limits()
    """Fields of `anomdiff.monitoring.drift.DriftLimits`."""
