"""What reads, scores and writes the batch of a night: this process, or Spark."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from anomdiff.jobs.batch.files import ScoredFiles
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.readers import Table
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.spark_settings import SparkSettings

__all__ = ["Engine", "engine_of"]


class Engine(NamedTuple):
    """How to open a table, and what writes the files of it when it is scored.

    ``table`` takes settings; ``files`` takes a detector, a ``ScoringInput`` and paths by what they
    hold, and has what ``ScoredFiles`` has.
    """

    table: Callable[[ScoreSettings], Any]
    files: Callable[..., Any]


@contextmanager
def engine_of(settings: ScoreSettings) -> Iterator[Engine]:
    """Yield the engine of the settings; a session of Spark that is started ends with the block.

    Raises
    ------
    SettingsError
        If Spark, Java or a package of Spark is asked for that is not there.
    """
    if settings.engine == "local":
        yield Engine(lambda given: Table(given.source, given.file_options), ScoredFiles)
        return
    from anomdiff.integrations.spark.sessions import session, told
    from anomdiff.jobs.spark.files import SparkFiles
    from anomdiff.jobs.spark.table import SparkTable

    given = settings.spark or SparkSettings()
    try:
        with session(given.master, given.packages, given.texts, _of_the_job(settings)) as found:
            with told():
                yield Engine(lambda opened: SparkTable(opened, found), SparkFiles)
    except ImportError as error:
        raise SettingsError(f"{error} Or set `engine = 'local'`.") from None


def _of_the_job(settings: ScoreSettings) -> dict[str, str]:
    """Configuration by which Spark reads and writes as the local engine does."""
    return {
        "spark.sql.caseSensitive": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(settings.batch_size),
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    }
