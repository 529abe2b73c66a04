"""What Spark is started with, and what it reads: the table `[spark]` of the settings of scoring."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["SparkSettings"]


class SparkSettings(BaseModel):
    """Where Spark runs and what it loads; all as the session has it that is there already."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    master: str | None = None
    """Such as 'local[4]' or 'spark://host:7077'; as Spark is set up if not given."""
    packages: tuple[str, ...] = ()
    """Maven coordinates, such as those of Delta, Iceberg or hadoop-aws."""
    config: dict[str, str | int | float] = {}
    """Further configuration, such as `"spark.sql.extensions" = "..."`."""
    format: Literal["files", "delta", "iceberg"] = "files"
    """What `data` is: 'files', or a 'delta' or 'iceberg' table, by its name or its path."""

    @property
    def texts(self) -> dict[str, str]:
        """Configuration as Spark takes it."""
        return {name: str(value) for name, value in self.config.items()}
