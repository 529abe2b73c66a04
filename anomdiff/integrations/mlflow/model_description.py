"""What a model is, in a few lines of Markdown for the pages of its run and its version."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from anomdiff import plots
from anomdiff.detectors.base import DiffusionDetector

__all__ = ["described"]

SHOWN = 30  # names of columns; further ones are counted
ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>()#+-.!|"})


def described(
    detector: DiffusionDetector, frame: pd.DataFrame, source: str | None, digest: str
) -> str:
    """Describe a fitted detector: what it learned from, its columns, and what its alarms mean.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        The fitted detector.
    frame : DataFrame
        Its training rows.
    source : str, optional
        Where they came from.
    digest : str
        Of the rows.

    Returns
    -------
    text : str
        Markdown; names of columns are escaped, so that they are shown and nothing more.
    """
    unit = "rows" if detector.unit == "row" else "steps"
    low, high = plots.alarm_rates(len(detector.calibration_scores_), detector.alpha)
    loss = detector.history_["validation_loss"].min()
    lines = [
        f"**{type(detector).__name__}**, fitted {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- learned from {len(frame):,} {unit}"
        + (f" of {_plain(source)}" if source else "")
        + f", digest `{digest[:12]}`",
        *_columns(detector),
        f"- alpha {detector.alpha:g}: of new normal {unit} {low:.2%} to {high:.2%} raise alarms, "
        f"as {len(detector.calibration_scores_):,} calibration {unit} tell; threshold "
        f"{float(detector.threshold_):.4g}",
    ]
    if np.isfinite(loss):
        lines.append(f"- denoising loss on held-out {unit}: {loss:.4g}")
    return "\n".join(lines)


def _columns(detector: DiffusionDetector) -> list[str]:
    """Lines on the columns by what they are."""
    if detector.unit == "step":
        model = detector.model_
        keys = [name for name in (model.layout.series, model.layout.time) if name is not None]
        told = [_named("channels", list(model.names))]
        return [*told, _named("series and time", keys)] if keys else told
    by_kind: dict[str, list] = {}
    for column in detector.schema_.columns:
        by_kind.setdefault(column.kind, []).append(column)
    lines = [
        _named(kind, [column.name for column in several])
        for kind, several in by_kind.items()
        if kind != "ignored"
    ]
    for column in by_kind.get("ignored", [])[:SHOWN]:
        lines.append(f"- ignored: {_plain(column.name)}: {_plain(column.reason)}")
    return lines


def _named(kind: str, names: list) -> str:
    shown = ", ".join(map(_plain, names[:SHOWN]))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"- {kind}: {shown}{more}"


def _plain(text: object) -> str:
    """Text that Markdown does not read as anything else."""
    return " ".join(str(text).split()).translate(ESCAPED)
