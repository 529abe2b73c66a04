"""What the settings of all jobs share: reading from a TOML file, mistakes as sentences, types."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    ValidationError,
    model_validator,
)

from anomdiff.jobs.assignments import with_assignments
from anomdiff.jobs.exit_codes import SettingsError, SettingsMissing
from anomdiff.jobs.labels import Value
from anomdiff.jobs.readers import FileOptions, Name
from anomdiff.jobs.stores.databases import Database, SqlSource, SqlTarget
from anomdiff.jobs.stores.locations import FilePath, as_location
from anomdiff.jobs.stores.secrets import masked

__all__ = ["CHAMPION", "NAME", "Columns", "Location", "Settings", "Source", "Target"]

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
Location = Annotated[FilePath, PlainValidator(as_location), PlainSerializer(str)]
TABLE_KINDS = ("file", "database")  # of what is read or written: a path, or a table of settings
Kind = Discriminator(lambda value: TABLE_KINDS[isinstance(value, dict | Database)])
Source = Annotated[Annotated[Location, Tag("file")] | Annotated[SqlSource, Tag("database")], Kind]
Target = Annotated[Annotated[Location, Tag("file")] | Annotated[SqlTarget, Tag("database")], Kind]


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
    since: datetime | None = None
    """First time to read from a database: column `date` of its `table`, or :since of a `query`."""
    until: datetime | None = None
    """Time from which on nothing is read from a database, as for `since`."""
    dry_run: bool = False
    """Check settings, data, model and stores, say what would be done, and write nothing."""
    retries: int = Field(default=3, ge=0)
    """How often to try again when a store does not answer, after 1, 2, 4, ... seconds."""
    heartbeat: float = Field(default=60.0, ge=0)
    """Seconds between lines of the log in long steps, where no progress bar is seen; 0 for none."""
    log: Literal["plain", "text", "json"] | None = None
    """Lines on stderr: 'plain', 'text' with time and level, or 'json'; plain on a terminal only."""

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

    @property
    def source(self) -> Any:
        """What `data` is, with `since` and `until` if it is a database."""
        data = getattr(self, "data", None)
        if not isinstance(data, SqlSource):
            return data
        times = {"since": self.since or data.since, "until": self.until or data.until}
        return data.model_copy(update=times)

    @model_validator(mode="after")
    def _times_are_of_a_database(self) -> Self:
        if isinstance(self.source, SqlSource):
            self.source.require_times()
        elif self.since is not None or self.until is not None:
            raise ValueError("need a database as `data` for `since` and `until`")
        return self

    @model_validator(mode="after")
    def _label_has_normal_values(self) -> Self:
        if self.label is not None and not self.normal:
            raise ValueError(f"need `normal`, the value of column {self.label!r} that means normal")
        return self


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
    place = [part for part in first["loc"] if part not in TABLE_KINDS]
    key = ".".join(map(str, place))
    if first["type"] == "extra_forbidden":
        known = _table_at(settings, place[:-1])
        return f"unknown key {key!r}; known keys are {', '.join(sorted(known.model_fields))}"
    if first["type"] == "missing":
        return f"need a value for {key!r}; got none"
    message = first["msg"].removeprefix("Value error, ")
    if not key or {"database", "alert"} & {*first["loc"]}:  # which may hold a secret
        return f"{key!r}: {message}" if key else message
    return f"{key!r}: {message}; got {masked(repr(first['input']))}"


def _table_at(settings: type[BaseModel], place: Sequence[str | int]) -> type[BaseModel]:
    """Settings of the table at a place within others."""
    for key in place:
        if isinstance(key, str):
            settings = next(_tables_of(settings.model_fields[key].annotation))
    return settings


def _tables_of(kind: Any) -> Iterator[type[BaseModel]]:
    """Settings among the types of a value."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _tables_of(part)
