"""Settings of the job that trains again where monitoring says so."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from anomdiff.jobs.base_settings import Location
from anomdiff.jobs.settings import Rule, TrainSettings

__all__ = ["RetrainSettings"]


def _paths(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


class RetrainSettings(TrainSettings):
    """Settings of `anomdiff.jobs.retrain`: those of training, on recent rows, and these."""

    report: Annotated[tuple[Location, ...], BeforeValidator(_paths)] = ()
    """What `anomdiff monitor` has written, one file or several; not needed with `force`."""
    force: bool = False
    """Train without a finding of drift, and even if there is a version of the same rows."""
    how: Literal["full", "warm", "update"] = "full"
    """A whole fit; 'warm': on from the champion's network; 'update': rows taken in, no training."""
    holdout: float = Field(default=0.2, gt=0, lt=1)
    """Share of the recent rows to compare on instead of training: of series the last ones."""
    promote: bool = False
    """Make the new version the champion if the rule agrees."""
    rule: Rule = Rule()
    """Fields of `anomdiff.selection.comparison.PromotionRule`."""
