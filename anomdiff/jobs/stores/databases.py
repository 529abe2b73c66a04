"""A table or query of a database to read, a table to write, and what goes wrong on the way."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Self

import sqlalchemy as sa
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from anomdiff.jobs.errors import StoreError
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.stores.secrets import masked

__all__ = [
    "Database",
    "SqlSource",
    "SqlTarget",
    "column_names",
    "connected",
    "has_reflection",
    "split_name",
]

CONNECT_ARGUMENTS = {"postgresql": {"connect_timeout": 10}, "mysql": {"connect_timeout": 10}}
POSTGRES = "postgresql+psycopg"  # what the extra `sql` installs, whatever SQLAlchemy's default is
EXAMPLE = f"{POSTGRES}://user@host/database"


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Database(BaseModel):
    """Address of a database; it is never printed with its password."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    url: str | None = Field(default=None, repr=False)
    """Address of the database as SQLAlchemy takes it, such as postgresql+psycopg://user@host/db."""
    url_env: str | None = None
    """Environment variable that holds the address, instead of `url`."""

    @field_validator("url")
    @classmethod
    def _can_be_read(cls, value: str | None) -> str | None:
        if value is not None:
            _parsed(value)
        return value

    @field_serializer("url")
    def _without_password(self, value: str | None) -> str | None:
        return None if value is None else masked(value)

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("need either `url` or `url_env` of a database")
        return self

    def address(self) -> sa.URL:
        """Address with its password.

        Raises
        ------
        SettingsError
            If the environment variable is not set, or holds no address.
        """
        if self.url is not None:
            return _parsed(self.url)
        value = os.environ.get(self.url_env or "")
        if not value:
            raise SettingsError(
                f"need the address of a database in the environment variable {self.url_env}; "
                f"it is not set: set it to one like {EXAMPLE}."
            )
        return _parsed(value)

    def shown(self) -> str:
        """Address without its password, or the environment variable that holds it."""
        return f"${self.url_env}" if self.url is None else masked(self.url)


class SqlSource(Database):
    """Rows of a database to read: those of a table or view, or of a query."""

    table: str | None = None
    """Table or view to read, perhaps with its schema: `sales.payments`."""
    query: str | None = None
    """Query to read instead; `:since` and `:until` stand for the times of the settings."""
    date: str | None = None
    """Column of `table` that `since` and `until` are compared with."""
    order: Names = ()
    """Columns to read the rows in the order of; without them it is that of the database."""
    since: datetime | None = None
    """First time to read."""
    until: datetime | None = None
    """Time from which on no row is read."""

    @model_validator(mode="after")
    def _has_one_table(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("need either `table` or `query` of a database")
        if self.query is not None and self.date is not None:
            raise ValueError("need `date` beside `table` only; a `query` compares with :since")
        return self

    def require_times(self) -> None:
        """Refuse a time that is given and not used, or used and not given.

        Raises
        ------
        ValueError
            If `table` has no `date` for a time that is given, or `query` has another use of times.
        """
        for name in ("since", "until"):
            given = getattr(self, name) is not None
            if self.table is not None and given and self.date is None:
                raise ValueError(f"need `date`, the column of {self.table} that `{name}` is about")
            if self.query is not None and given != (f":{name}" in self.query):
                raise ValueError(
                    f"need :{name} in the query, as `{name}` is set"
                    if given
                    else f"need `{name}` (--{name}), as the query has :{name}"
                )

    @property
    def name(self) -> str:
        """Short name of what is read."""
        return self.table or "query"

    def resolve(self) -> Self:
        """Return the source itself: it has no links."""
        return self

    def __str__(self) -> str:
        return f"{f'table {self.table}' if self.table else 'the query'} of {self.shown()}"


class SqlTarget(Database):
    """Table of a database to write: rows replace those with the same key."""

    table: str
    """Table to write, perhaps with its schema; it is made if there is none."""
    key: Names = Field(min_length=1)
    """Column or columns that name a row; they are copied from the input."""

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.table

    def __str__(self) -> str:
        return f"table {self.table} of {self.shown()}"


@contextmanager
def connected(database: Database) -> Iterator[sa.Connection]:
    """Open one connection to a database for one transaction, committed if the block ends well.

    Raises
    ------
    StoreError
        If the database does not answer, does not let the job in, or hangs up.
    SettingsError
        If the driver is missing.
    ValueError
        If the database refuses a statement.
    """
    url = database.address()
    engine = _engine(url, database)
    try:
        with engine.connect() as connection:
            if url.get_backend_name() == "sqlite":
                connection.exec_driver_sql("BEGIN")  # the driver would leave out what makes tables
            yield connection
            connection.commit()
    except (sa.exc.DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        raise _told(error, database, url) from None
    except sa.exc.NoSuchTableError as error:
        raise ValueError(f"need {database}; there is no such table {error}.") from None
    finally:
        engine.dispose()


def split_name(table: str) -> tuple[str | None, str]:
    """Schema, if there is one, and name of a table."""
    schema, _, name = table.rpartition(".")
    return schema or None, name


def has_reflection(connection: sa.Connection) -> bool:
    """Whether the types of columns can be asked for: of databases that SQLAlchemy itself knows."""
    return type(connection.dialect).__module__.startswith("sqlalchemy.")


def column_names(connection: sa.Connection, start: sa.FromClause | sa.TextClause) -> list[str]:
    """Names of the columns of a table or query."""
    empty: sa.Select = sa.select(sa.literal_column("*")).select_from(start).limit(0)
    return list(connection.execute(empty).keys())


def _parsed(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError(
            f"need an address of a database like {EXAMPLE}; this one cannot be read: write @, / "
            "and other special characters of a password as %40, %2F and so on"
        ) from None
    return url.set(drivername=POSTGRES) if url.drivername in ("postgresql", "postgres") else url


def _engine(url: sa.URL, database: Database) -> sa.Engine:
    backend = url.get_backend_name()
    if backend == "sqlite" and isinstance(database, SqlSource):
        _require_file(url, database)
    try:
        return sa.create_engine(
            url,
            connect_args=CONNECT_ARGUMENTS.get(backend, {}),
            poolclass=sa.pool.NullPool,
            hide_parameters=True,
        )
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        extra = {"postgresql": "anomdiff[sql]", "duckdb": "anomdiff[duckdb]"}.get(backend)
        install = (
            f"`pip install {extra}`" if extra else "pip, as SQLAlchemy's page of dialects says"
        )
        raise SettingsError(
            f"need a driver for {url.drivername}://; got {str(error)!r}: install it with {install}."
        ) from None


def _require_file(url: sa.URL, database: Database) -> None:
    """Refuse to read a file that is not there: SQLite would make it."""
    path = url.database
    if path and path != ":memory:" and not path.startswith("file:") and not Path(path).exists():
        raise FileNotFoundError(f"need {database}; there is no file {path}.")


def _told(error: Any, database: Database, url: sa.URL) -> Exception:
    """Return the error in one sentence, without a password that a driver repeats."""
    cause = getattr(error, "orig", error)  # the driver's own error, if SQLAlchemy has wrapped it
    said = _without(url, str(cause).strip().splitlines() or [type(cause).__name__])
    if _is_away(cause, url.get_backend_name(), said):
        return StoreError(
            f"need a database that answers at {database.shown()}; got {said!r}: check host, port, "
            "user and password, and that the server runs."
        )
    return ValueError(f"need {database} to do what the job asks for; got {said!r}.")


def _is_away(cause: object, backend: str, said: str) -> bool:
    """Whether the database is away, rather than the statement wrong."""
    if backend == "sqlite":  # whose driver has one class for all
        return any(word in said for word in ("unable to open", "locked", "disk I/O", "readonly"))
    names = {base.__name__ for base in type(cause).__mro__}
    return bool(names & {"OperationalError", "InterfaceError"})


def _without(url: sa.URL, lines: list[str]) -> str:
    said = masked(lines[0])[:300].rstrip(".")
    secrets: list[Any] = [url.password]
    for secret in filter(None, secrets):
        said = said.replace(str(secret), "***")
    return said
