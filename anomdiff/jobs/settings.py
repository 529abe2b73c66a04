"""Settings of the jobs: read from a TOML file and checked, so that a typo is an error."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from anomdiff.jobs.labels import Value
from anomdiff.jobs.readers import Name
from anomdiff.monitoring.drift import DriftLimits
from anomdiff.selection.comparison import PromotionRule

__all__ = ["MonitorSettings", "PromoteSettings", "ScoreSettings", "Settings", "TrainSettings"]

NAME = "anomdiff"


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Values = Annotated[tuple[Value, ...], BeforeValidator(_listed)]
Columns = Annotated[tuple[Name, ...], BeforeValidator(_listed)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Rule(PromotionRule):
    """The rule of a promotion, checked."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Limits(DriftLimits):
    """The limits of drift, checked."""


class Settings(BaseModel):
    """Settings of every job; a key that is not known is an error.

    Parameters
    ----------
    header : bool, default=True
        Whether the first line of a CSV file names the columns; if not, they are 0, 1, 2, ...
    label : str or int, optional
        Column that says what a row is. It never reaches the model.
    normal : value or list of values
        Values of `label` that mean a normal row; required with `label`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    header: bool = True
    label: Name | None = None
    normal: Values = ()

    @classmethod
    def load(cls, path: Path | str | None, overrides: Mapping[str, object] | None = None) -> Self:
        """Read settings from a TOML file; `overrides` that are given win over it.

        Raises
        ------
        ValueError
            If the file is not TOML, or a key is unknown, missing or has a wrong value.
        FileNotFoundError
            If there is no such file.
        """
        options = (overrides or {}).items()
        given = {key: value for key, value in options if value not in (None, ())}
        try:
            return cls.model_validate({**_read_toml(path), **given})
        except ValidationError as error:
            source = "the command line" if path is None else str(path)
            raise ValueError(f"{source}: {_sentence(error, cls)}.") from None

    @model_validator(mode="after")
    def _label_has_normal_values(self) -> Self:
        if self.label is not None and not self.normal:
            raise ValueError(f"need `normal`, the value of column {self.label!r} that means normal")
        return self


class TrainSettings(Settings):
    """Settings of `anomdiff.jobs.train`.

    Parameters
    ----------
    data : Path
        A `.parquet` or `.csv` file (see `anomdiff.jobs.readers`), or a folder of parquet files.
    estimator : {"tabular", "timeseries"}
        Whether rows are scored by themselves, or as the steps of one or many series. Steps that
        are not normal by their label are then not left out: their values count as missing.
    series, time : str or int, optional
        Columns of the label of a series and of the time; without them the rows are one series,
        in their order.
    drop : list of str or int
        Columns to leave out.
    kinds : dict of column to kind
        Kinds ("number", "category", "boolean", "datetime", "ignored") that replace the inferred
        ones of a table.
    max_rows : int, optional
        Train on a random sample of this many rows of a table; all rows if not given.
    experiment, model_name, registered_name : str
        Names in MLflow: of the experiment, of the logged model, of the registered model.
    detector : dict
        Parameters of `anomdiff.TabularDetector` or `anomdiff.TimeSeriesDetector`, such as `alpha`
        and `random_state`.
    """

    data: Path
    estimator: Literal["tabular", "timeseries"] = "tabular"
    series: Name | None = None
    time: Name | None = None
    drop: Columns = ()
    kinds: dict[str, Literal["number", "category", "boolean", "datetime", "ignored"]] = {}
    max_rows: int | None = Field(default=None, gt=0)
    experiment: str = NAME
    model_name: str = NAME
    registered_name: str = NAME
    detector: dict[str, Any] = {}

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
    """Settings of `anomdiff.jobs.score`.

    Parameters
    ----------
    data : Path
        Table to score.
    model : str
        MLflow URI of the model; by default the registered champion.
    output : Path
        Scored parquet file; the summary lies beside it, named `STEM.summary.json`.
    batch_size : int, default=50_000
        Rows held in memory at a time; of series, whole ones, even if one is longer.
    keep : list of str or int, or "all"
        Columns of the input to copy to the output.
    """

    data: Path
    model: str = f"models:/{NAME}@champion"
    output: Path
    batch_size: int = Field(default=50_000, gt=0)
    keep: Columns = ()  # ("all",) for all columns


class PromoteSettings(Settings):
    """Settings of `anomdiff.jobs.promote`.

    Parameters
    ----------
    data : Path, optional
        Recent rows that neither model was fitted to; not needed for a rollback.
    registered_name, experiment : str
        Names in MLflow: of the registered model, and of the experiment that keeps the verdicts.
    rule : table
        Fields of `anomdiff.selection.comparison.PromotionRule`.
    """

    data: Path | None = None
    registered_name: str = NAME
    experiment: str = NAME
    rule: Rule = Rule()


class MonitorSettings(Settings):
    """Settings of `anomdiff.jobs.monitor`.

    Parameters
    ----------
    data : Path
        Batch to compare with training.
    model : str
        MLflow URI of the model; by default the registered champion.
    scored : Path, optional
        The same rows as `anomdiff.jobs.score` has scored them; scored now if not given.
    reference : Path, optional
        Training rows to compare with; by default the profile that training has logged.
    output : Path
        JSON file to write.
    experiment : str
        Experiment of the runs, one per batch.
    limits : table
        Fields of `anomdiff.monitoring.drift.DriftLimits`.
    """

    data: Path
    model: str = f"models:/{NAME}@champion"
    scored: Path | None = None
    reference: Path | None = None
    output: Path
    experiment: str = f"{NAME}-monitor"
    limits: Limits = Limits()


def _read_toml(path: Path | str | None) -> dict[str, object]:
    if path is None:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: need a TOML file; {error}.") from None
    except FileNotFoundError:
        raise FileNotFoundError(f"need a settings file at {path}; there is none.") from None


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
