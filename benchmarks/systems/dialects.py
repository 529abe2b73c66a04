"""The demo on one table as six programs write it: `python -m benchmarks.systems.dialects`.

No option is given. Printed is what the demo says about each file: how it is written, and warnings.
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common.commands import count

__all__ = ["DIALECTS", "main", "run_demo", "sensors", "write_files"]

SAID = ("read ", "Warning:", "Error:")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files, run the demo on each, and count those that were read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=count, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    n_read = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in write_files(Path(folder), sensors(options.rows, options.seed)):
            said, was_read = run_demo(path)
            n_read += was_read
            print("\n  ".join([path.name, *said]), flush=True)
    print(f"files {len(DIALECTS)} read {n_read}")


def sensors(n_rows: int, seed: int) -> pd.DataFrame:
    """Measurements of two sensors that follow the hour, and the state of a machine."""
    rng = np.random.default_rng(seed)
    times = pd.date_range("2025-03-01", periods=n_rows, freq="h")
    warmth = 15 + 8 * np.sin(times.hour / 24 * 2 * np.pi) + rng.normal(0, 1, n_rows)
    return pd.DataFrame(
        {
            "Zeit": times.strftime("%Y-%m-%d %H:%M"),
            "Wärme": warmth.round(2),
            "Feuchte": (90 - 2 * warmth + rng.normal(0, 2, n_rows)).round(1),
            "Stufe": rng.integers(1, 5, n_rows),
            "Ort": rng.choice(["Köln", "Ulm", "Aachen"], n_rows),
        }
    )


def write_files(folder: Path, frame: pd.DataFrame) -> list[Path]:
    """Write a table in each dialect."""
    paths = []
    for name, write in DIALECTS.items():
        path = folder / name
        path.write_bytes(write(frame))
        paths.append(path)
    return paths


def run_demo(path: Path) -> tuple[list[str], bool]:
    """Lines that the demo says about a file, and whether it went to its end."""
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{path.parent / 'mlflow.db'}"}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.demo", "--data", str(path)],
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **store},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [*done.stderr.splitlines(), *done.stdout.splitlines()]
    said = [line for line in lines if line.startswith(SAID) or " rows scored, " in line]
    return [line.replace(f"{path.parent}/", "") for line in said], done.returncode == 0


def _spreadsheet(frame: pd.DataFrame) -> bytes:
    """Continental spreadsheet: its own first line, decimal commas, blank columns, blank rows."""
    lines = frame.to_csv(index=False, sep=";", decimal=",").splitlines()
    return "\r\n".join(["sep=;", *(f"{line};;" for line in lines), *[";;;;;;"] * 9]).encode(
        "cp1252"
    )


def _unicode_text(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, sep="\t").encode("utf-16")


def _logger(frame: pd.DataFrame) -> bytes:
    """Data logger: comments, and units below the names."""
    header, *lines = frame.to_csv(index=False, sep="|").splitlines()
    return "\n".join(["# logger 7", "# exported", header, "|°C|%||", *lines]).encode()


def _bare(frame: pd.DataFrame) -> bytes:
    """Numbers parted by blanks, without a header."""
    return frame[["Wärme", "Feuchte", "Stufe"]].to_string(index=False, header=False).encode()


def _report(frame: pd.DataFrame) -> bytes:
    """Report: a title, the names of one column twice, a division by zero, packed."""
    twice = pd.concat([frame, frame[["Stufe"]]], axis=1)
    lines = twice.to_csv(index=False).splitlines()
    lines[9] = lines[9].replace(lines[9].split(",")[1], "Infinity")
    return gzip.compress("\n".join(["Bericht,,,,,", *lines]).encode())


def _saved_index(frame: pd.DataFrame) -> bytes:
    """Table that pandas saved with its index, which has no name."""
    return frame.set_axis(frame.index % 24).to_csv().encode()


DIALECTS = {
    "spreadsheet.csv": _spreadsheet,
    "unicode-text.txt": _unicode_text,
    "logger.csv": _logger,
    "bare.data": _bare,
    "report.csv.gz": _report,
    "saved-index.csv": _saved_index,
}


if __name__ == "__main__":
    main()
