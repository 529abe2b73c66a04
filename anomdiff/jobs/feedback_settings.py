"""Settings of `anomdiff.jobs.feedback`."""

from datetime import date

from pydantic import Field

from anomdiff.jobs.base_settings import CHAMPION, Columns, Location, Settings, Source

__all__ = ["FeedbackSettings"]


class FeedbackSettings(Settings):
    """Settings of `anomdiff.jobs.feedback`."""

    verdicts: Source
    """Table of verdicts: the key, `verdict` and perhaps `by`; an alarm table with such columns."""
    data: Source
    """Table that was scored, which has the judged rows."""
    key: Columns = ()
    """Column or columns that tell rows apart, in both tables; `row`, their number, if not given."""
    batch_date: date | None = None
    """Date of the batch; that in column `batch_date` of the verdicts if not given."""
    model: str = CHAMPION
    """MLflow URI of the model, such as models:/NAME@champion."""
    output: Location
    """Verdict store, a parquet file that grows; what was found lies beside it as JSON."""
    feedback_radius: float | None = Field(default=None, ge=0)
    """As in `anomdiff score`, to tell what will be muted."""
    batch_size: int = Field(default=50_000, gt=0)
    """Rows of `data` in memory at a time."""
