"""Tools for an assistant, by the Model Context Protocol: inspect, score, explain, preview.

The server reads files of one folder and writes none, unless it is started with a folder to write
to. Values of columns that are to stay private are left out of its answers.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import pandas as pd

from anomdiff.explain.reasons import reason_cells
from anomdiff.jobs import command_line
from anomdiff.jobs.base_settings import CHAMPION, Settings
from anomdiff.jobs.exit_codes import SettingsError, meanings
from anomdiff.jobs.explain import explained
from anomdiff.jobs.inspect import inspected
from anomdiff.jobs.model_columns import read_model_rows
from anomdiff.jobs.readers import FileOptions, Table
from anomdiff.jobs.registered import load_model
from anomdiff.jobs.threshold import SCORED, preview
from anomdiff.thresholds.severity import severity

__all__ = ["Tools", "main", "server"]

INSTRUCTIONS = (
    "Anomaly detection for tables and time series. inspect_model says what a model reads, "
    "score_file lists the alarms of a file, explain_rows says why rows score as they do, and "
    "preview_threshold how many alarms a scored file would raise. Scores are larger the more "
    "anomalous; p-values are shares of normal rows that score as high."
)
REDACTED = "redacted"
CELLS = ["value", "expected", "low", "high"]
MOST_EXPLAINED = 100  # alarms, or rows, that one answer explains


class Tools:
    """What the server offers: read-only but for ``score_to_file``.

    Parameters
    ----------
    model : str
        Address or folder of the model.
    root : Path
        Folder whose files may be read.
    written : Path, optional
        Folder that files may be written to; nothing is written without it.
    redacted : sequence of str
        Columns whose values are not shown.
    """

    def __init__(
        self,
        model: str,
        root: Path,
        written: Path | None = None,
        redacted: tuple[str, ...] = (),
    ):
        self.model, self.root, self.written = model, root.resolve(), written
        self.redacted = redacted
        self._detector: Any = None

    @property
    def detector(self) -> Any:
        """The model, loaded when it is asked for first."""
        if self._detector is None:
            self._detector = load_model(self.model)
        return self._detector

    @property
    def offered(self) -> list[Callable[..., dict]]:
        """Functions that are tools of the server."""
        reading: list[Callable[..., dict]]
        reading = [self.inspect_model, self.score_file, self.explain_rows, self.preview_threshold]
        return [*reading, self.score_to_file] if self.written is not None else reading

    def inspect_model(self) -> dict[str, Any]:
        """Say what the model reads, what it leaves out, its alpha and its threshold."""
        return inspected(self.detector)

    def score_file(self, path: str, limit: int = 10) -> dict[str, Any]:
        """Score a table file; return counts and the worst alarms, each with its reasons."""
        frame = self._rows(path)
        scored = self.detector.score_frame(frame)
        flagged = scored.index[scored["is_anomaly"].to_numpy(bool)]
        worst = scored.loc[flagged].nlargest(_count(limit), "anomaly_score")
        return {
            "rows": len(scored),
            "alarms": len(flagged),
            "alpha": float(self.detector.alpha),
            "worst": self._told(frame, worst),
        }

    def explain_rows(self, path: str, rows: list[int], top: int = 3) -> dict[str, Any]:
        """Say which columns contribute to the scores of rows of a file, by number from 0."""
        found = explained(self.detector, self._rows(path), rows[:MOST_EXPLAINED], _count(top))
        return {"contributions": _records(self._hidden(found))}

    def preview_threshold(self, path: str, alarms: float) -> dict[str, Any]:
        """Show how many alarms thresholds raise on a file that was scored before."""
        frame = Table(self._inside(path), FileOptions()).read()
        if missing := [name for name in SCORED if name not in frame]:
            raise ValueError(f"need the columns {SCORED} of a scored file; {missing} are missing.")
        return {"thresholds": _records(preview(frame[SCORED], alarms))}

    def score_to_file(self, path: str, output: str) -> dict[str, Any]:
        """Score a table file and write the scored rows as CSV, new in the folder for output."""
        assert self.written is not None  # else it is not offered
        target = (self.written / output).resolve()
        if not target.is_relative_to(self.written.resolve()) or target.suffix != ".csv":
            raise SettingsError(f"need an output named .csv within the folder; got {output!r}.")
        if target.exists():
            raise SettingsError(f"need a new name for the output; {output!r} is there already.")
        scored = self.detector.score_frame(self._rows(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        scored.to_csv(target, index_label="row")
        return {"written": output, "rows": len(scored), "alarms": int(scored["is_anomaly"].sum())}

    def _rows(self, path: str) -> pd.DataFrame:
        """Rows of a file as the model reads them, numbered from 0."""
        frame, _ = read_model_rows(self._inside(path), Settings(), self.detector)
        return frame.reset_index(drop=True)

    def _inside(self, path: str) -> Path:
        """A file within the folder that may be read, links followed."""
        found = (self.root / path).resolve()
        if not found.is_relative_to(self.root):
            raise SettingsError(f"need a file within the folder of the server; got {path!r}.")
        return found

    def _told(self, frame: pd.DataFrame, worst: pd.DataFrame) -> list[dict[str, Any]]:
        """The worst alarms with severity and reasons."""
        if not len(worst):
            return []
        found = explained(self.detector, frame, list(worst.index), top=3)
        sentences = reason_cells(self._hidden(found), 3)["sentence"]
        calibration, threshold = self.detector.calibration_scores_, self.detector.threshold_
        told = worst[["anomaly_score", "p_value"]].assign(
            severity=severity(worst["anomaly_score"], calibration, threshold),
            reasons=sentences.loc[worst.index],
        )
        return _records(told.rename_axis("row").reset_index())

    def _hidden(self, found: pd.DataFrame) -> pd.DataFrame:
        """Contributions without the cells of columns that stay private."""
        name = "column" if "column" in found else "channel"
        hidden = found[name].astype(str).isin(self.redacted).to_numpy()
        shown = found.astype(dict.fromkeys([c for c in CELLS if c in found], object))
        for cell in (each for each in CELLS if each in shown):
            shown.loc[hidden, cell] = REDACTED if cell in ("value", "expected") else None
        return shown


def server(tools: Tools) -> Any:
    """Server of the tools; what a user could mend is answered as one sentence."""
    from mcp.server import MCPServer

    made = MCPServer("anomdiff", instructions=INSTRUCTIONS, log_level="ERROR")
    for function in tools.offered:
        made.tool()(_answering(function))
    return made


def _answering(function: Callable[..., dict]) -> Callable[..., dict]:
    """Tool whose expected errors are sentences of the answer."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(function)
    def call(*args: Any, **options: Any) -> dict:
        try:
            return function(*args, **options)
        except (ValueError, OSError) as error:
            raise ToolError(" ".join(str(error).split())) from None

    return call


def _count(wanted: int) -> int:
    if wanted < 1:
        raise SettingsError(f"need a number of at least 1; got {wanted}.")
    return min(wanted, MOST_EXPLAINED)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as JSON values."""
    cells = frame.astype(object).where(frame.notna(), None)
    return [{str(k): _plain(v) for k, v in row.items()} for row in cells.to_dict("records")]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


@click.command(epilog=meanings())
@click.option("--model", default=CHAMPION, show_default=True, help="Address or folder of a model.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Folder whose files may be read; the current one by default.",
)
@click.option(
    "--write",
    "written",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that scored files may be written to; nothing is written by default.",
)
@click.option("--redact", multiple=True, help="Column whose values are not shown; repeat it.")
def main(model: str, root: Path, written: Path | None, redact: tuple[str, ...]) -> None:
    """Offer tools to an assistant over standard input and output (Model Context Protocol)."""
    with command_line.reported_errors():
        try:
            made = server(Tools(model, root, written, redact))
        except ImportError:
            raise SettingsError(
                "need the package mcp; it is not installed: pip install 'anomdiff[mcp]'."
            ) from None
        made.run()
