"""What a detector answers, as frames, and frames as text that git compares line by line."""

from pathlib import Path

import numpy as np
import pandas as pd

DIGITS, TOLERANCE = 10, 1e-6
FEW = 15
STREAMED_AT_ONCE = 37


def answers(detector, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Everything a detector of tables or series says about a frame, by name."""
    scored = detector.score_frame(frame)
    signed = {
        "score_samples": detector.score_samples(frame),
        "decision": detector.decision_function(frame),
        "label": detector.predict(frame),
    }
    more = series_answers if hasattr(detector, "score_next") else table_answers
    common = {"scores": scored, "signed": pd.DataFrame(signed, index=frame.index)}
    return common | more(detector, frame, scored)


def table_answers(detector, frame: pd.DataFrame, scored: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Answers of a detector of tables, but samples: a tree ensemble chooses how they start."""
    flagged = frame.loc[some(frame.index[scored["is_anomaly"]])]
    gaps = frame[frame.isna().any(axis=1)][-FEW:]
    half = len(frame) // 2
    return {
        "reasons": detector.explain(flagged),
        "repaired": detector.repair(flagged),
        "imputed": detector.impute(gaps),
        "imputed_draws": detector.impute(gaps, n_draws=3, random_state=0),
        "discoveries": detector.discoveries(frame, q=0.1),
        "discoveries_of_half": detector.discoveries(frame[:half], calibration=frame[half:]),
    }


def series_answers(detector, frame: pd.DataFrame, scored: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Answers of a detector of series."""
    repaired = detector.repair(frame)
    gaps = frame.isna().any(axis=1).to_numpy()
    forecast = detector.forecast(frame, 20, n_draws=50)
    channel = forecast["channel"].iloc[0]
    event = {channel: (None, frame[channel].quantile(0.8))}
    chunks = [frame[i : i + STREAMED_AT_ONCE] for i in range(0, len(frame), STREAMED_AT_ONCE)]
    return {
        "reasons": detector.explain(frame, rows=some(frame.index[scored["is_anomaly"]])),
        "repaired": repaired.loc[frame.compare(repaired).index],
        "imputed": detector.impute(frame)[gaps],
        "imputed_draws": detector.impute(frame, n_draws=3, random_state=0)[np.tile(gaps, 3)],
        "forecast": forecast,
        "paths": detector.forecast_paths(frame, 5, n_draws=3, random_state=0),
        "risk": detector.risk(frame, event, 20, n_draws=50),
        "segments": detector.segments(scored, join=5),
        "samples": detector.sample(3, random_state=0),
        "streamed": pd.concat([*map(detector.score_next, chunks), detector.finish()]),
    }


def predictions(model, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Everything an MLflow model says about a frame, by name: scores, and reasons as rows."""
    whole = [name for name in frame if pd.api.types.is_integer_dtype(frame[name])]
    frame = frame.astype(dict.fromkeys(whole, float))  # as the signature has them
    wishes = {"explain": True, "include_expected": True, "top_columns": 2, "alpha": 0.03}
    lines = model.predict(frame, params=wishes)["reasons"].explode().dropna()
    reasons = pd.DataFrame(lines.tolist(), index=lines.index)
    return {"predictions": model.predict(frame), "reasons": reasons}


def some(labels: pd.Index) -> pd.Index:
    """A few labels, spread over all."""
    return labels[:: max(1, len(labels) // FEW)][:FEW]


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells and the index of a frame as text, numbers with ten digits, gaps empty."""
    frame = frame.reset_index()
    cells = {str(name): [_text(cell) for cell in frame[name].astype(object)] for name in frame}
    return pd.DataFrame(cells, dtype=object)


def _text(cell) -> str:
    if isinstance(cell, tuple):
        return " ".join(cell)
    if pd.isna(cell):
        return ""
    return f"{cell:.{DIGITS}g}" if isinstance(cell, float) else str(cell)


def write(frames: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write frames as CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        as_text(frame).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")


def read(path: Path) -> pd.DataFrame:
    """Read a file of ``write``, all cells as text."""
    return pd.read_csv(path, dtype=object, keep_default_na=False)


def differences(frame: pd.DataFrame, path: Path) -> list[str]:
    """Cells that are not what a file of ``write`` holds; numbers may be off by the tolerance."""
    now, before = as_text(frame), read(path)
    if [*now] != [*before] or len(now) != len(before):
        return [f"{len(now)} rows of {[*now]}, not {len(before)} of {[*before]}"]
    return [
        f"line {line + 2}, {name}: {one!r}, not {other!r}"
        for name in now
        for line, (one, other) in enumerate(zip(now[name], before[name], strict=True))
        if not _alike(one, other)
    ]


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return bool(np.isclose(float(one), float(other), rtol=TOLERANCE, atol=TOLERANCE))
    except ValueError:
        return False
