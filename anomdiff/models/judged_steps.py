"""Which steps are judged, and which are off themselves; a warning where nothing near is known."""

import warnings

import pandas as pd

from anomdiff.encoding.panel import PanelLayout

__all__ = ["EVIDENT", "warn_of_other_step", "warn_of_unjudged"]

# Further column of a scored frame, within the package: whether a step is off itself, not only its
# windows.
EVIDENT = "evident"

# Share of the steps of a frame that are not judged, such as those beside gaps, without a warning.
UNJUDGED_SHARE = 0.5


def warn_of_unjudged(layout: PanelLayout, frame: pd.DataFrame, n_unjudged: int, least: int) -> None:
    """Warn of another step than in training, or if most steps have no window around them.

    ``least`` is the number of steps of the shortest window.
    """
    step = layout.other_step(frame)
    if step is not None:
        warn_of_other_step(layout, step)
    elif n_unjudged > UNJUDGED_SHARE * len(frame):
        warnings.warn(
            f"need at least {least} rows in a row, without a gap in time and most of them "
            f"observed; {n_unjudged} of {len(frame)} rows have none around them, are not judged "
            "and score 0.",
            stacklevel=2,
        )


def warn_of_other_step(layout: PanelLayout, step: float) -> None:
    """Warn that rows are ``step`` apart, which is not as in training."""
    usual, now = f"{layout.step:g}", f"{step:g}"
    if layout.has_dates:
        usual, now = str(pd.Timedelta(layout.step, "ns")), str(pd.Timedelta(step, "ns"))
    warnings.warn(
        f"need rows {usual} apart, as in training; they are {now} apart as a rule, so that windows "
        "are not alike, or hold one row only, which is not judged. Resample the rows.",
        stacklevel=2,
    )
