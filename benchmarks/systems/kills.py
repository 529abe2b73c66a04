"""Nights that are killed: `python -m benchmarks.systems.kills --rows 5_000_000 --kills 20`.

Writes a parquet file of generated payments with a key, trains on 20,000 others, and runs
`anomdiff score` on the file in processes of its own: once to the end, and once killed with SIGKILL
at random moments and started again each time. The scored files have to be the same, row by row,
and nothing may lie beside them. Two runs at once have to end with one that scores and one that says
so. With ``--database`` the output goes to PostgreSQL instead, and the server is killed as well, by
turns with the job, and started again.

The detector is a light one, so that a run is short and much of it is what the job itself does.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sqlalchemy as sa
from tqdm import tqdm

from anomdiff.jobs.exit_codes import ExitCode
from benchmarks.common.postgres import PostgresServer
from benchmarks.common.results import write
from benchmarks.systems.files import LIGHT, first_night, run_job

__all__ = ["both", "compared", "line", "main", "measure"]

BATCH = 20_000  # rows that are scored together
KEY = "payment_id"
FIRST_KEYS = [KEY, "row"]
TABLE = "night"
SECONDS_DOWN = 2.0  # of a server that was killed
AGAIN = ExitCode.STORE, ExitCode.DONE  # exit codes of a run whose server was killed


class Night(NamedTuple):
    """A folder with a store and a model, a table, how long an unbroken run takes, and a server."""

    folder: Path
    data: Path
    seconds: float
    server: PostgresServer | None

    @property
    def output(self) -> Path:
        """File that a run writes, unless it writes to the server."""
        return self.folder / f"{TABLE}.parquet"

    @property
    def summary(self) -> Path:
        """File that says what a run did."""
        return self.folder / f"{TABLE}.summary.json"

    @property
    def words(self) -> list[object]:
        """Command line of a run that may be killed."""
        if self.server is None:
            return _words(self.data, self.output)
        settings = self.folder / "night.toml"
        output = f'url = "{self.server.uri}"\ntable = "{TABLE}"\nkey = "{KEY}"\n'
        settings.write_text(f'summary = "{self.summary}"\n[output]\n{output}')
        return [settings, *_words(self.data)]


def main(argv: list[str] | None = None) -> None:
    """Run, kill, run on, compare, and print the figures as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--database", action="store_true", help="into PostgreSQL")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="a CSV")
    options = parser.parse_args(argv)
    figures = measure(options.rows, options.kills, options.seed, database=options.database)
    write(pd.DataFrame([figures]), options.out)
    print(" | ".join([line(figures), *([] if options.database else [both(figures)])]))


def line(figures: dict[str, Any]) -> str:
    """What became of the rows."""
    kills = f"killed {figures['killed']}"
    if figures["server_killed"]:
        kills += f", server killed {figures['server_killed']}"
    return (
        f"{kills} resumed {figures['resumed']} rows lost {figures['lost']} doubled "
        f"{figures['doubled']} changed {figures['changed']} left over {figures['left_over']}"
    )


def both(figures: dict[str, Any]) -> str:
    """What became of two runs at once, and how much of the last run was there before."""
    return (
        f"two at once: {figures['at_once']} | batches taken over {figures['restored']} of "
        f"{figures['batches']}"
    )


def measure(n_rows: int, n_kills: int, seed: int, *, database: bool = False) -> dict[str, Any]:
    """Figures of an unbroken run, a killed one, and, of files, two at once."""
    server = PostgresServer.running() if database else nullcontext()
    with tempfile.TemporaryDirectory() as name, server as started:
        night = _unbroken(Path(name), n_rows, started)
        counts = _killed(night, n_kills, np.random.default_rng(seed))
        summary = json.loads(night.summary.read_text())
        whole = pd.read_parquet(night.folder / "whole.parquet")
        figures = {"rows": n_rows, **counts, **compared(whole, _found(night))}
        left = [path.name for path in night.folder.iterdir() if path.name.startswith(".")]
        figures |= {"left_over": len(left) + _staged(night)}
        restored, batches = summary["batches_restored"], -(-n_rows // BATCH)
        at_once = None if database else _at_once(night)
        return {**figures, "at_once": at_once, "restored": restored, "batches": batches}


def _unbroken(folder: Path, n_rows: int, server: PostgresServer | None) -> Night:
    """Train, write the table and score it once to the end."""
    data = first_night(folder, n_rows, KEY, LIGHT)
    night, started = Night(folder, data, 0.0, server), time.perf_counter()
    run_job("score", *_words(data, folder / "whole.parquet"), folder=folder)
    return night._replace(seconds=time.perf_counter() - started)


def _words(data: Path, *output: Path) -> list[object]:
    """Command line of a run, which writes a file if one is given."""
    to = [word for path in output for word in ("--output", path)]
    return ["--data", data, *to, "--key", KEY, "--batch-size", BATCH]


@contextmanager
def _run(night: Night, words: list[object]) -> Iterator[subprocess.Popen]:
    """A run that has begun; what it says is in a log."""
    command = [sys.executable, "-m", "pipelines.score", *map(str, words)]
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{night.folder / 'mlflow.db'}"}
    with (night.folder / "night.log").open("w") as log:
        yield subprocess.Popen(command, env={**os.environ, **store}, stdout=log, stderr=log)


def _killed(night: Night, n_kills: int, rng: np.random.Generator) -> dict[str, int]:
    """Kill runs, or their server, at random moments, and go on until the night is done."""
    counts = {"killed": 0, "server_killed": 0, "resumed": 0}
    for number in tqdm(range(n_kills), desc="killing", disable=None):
        of_server = night.server is not None and number % 2 == 1
        with _run(night, night.words) as process:
            try:
                process.wait(timeout=rng.uniform(0, night.seconds))
            except subprocess.TimeoutExpired:
                counts["server_killed" if of_server else "killed"] += 1
                counts["resumed"] += 1
                (_kill_server if of_server else _kill)(night, process)
        if process.returncode == ExitCode.DONE:  # it was faster: the next one begins anew
            _forget(night)
        elif process.returncode > 0 and not (of_server and process.returncode in AGAIN):
            raise RuntimeError((night.folder / "night.log").read_text())
    run_job("score", *night.words, folder=night.folder)
    return counts


def _kill(night: Night, process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def _kill_server(night: Night, process: subprocess.Popen) -> None:
    """Kill the server, start it again, and let the run end as it can."""
    assert night.server is not None
    night.server.kill()
    time.sleep(SECONDS_DOWN)
    night.server.start()
    process.wait()


def _forget(night: Night) -> None:
    """Remove the summary of a night that is done, so that the next run scores again."""
    night.summary.unlink()


def _at_once(night: Night) -> str:
    """Exit codes of two runs that write the same output at the same time."""
    words = _words(night.data, night.folder / "both.parquet")
    with _run(night, words) as first, _run(night, words) as second:
        codes = sorted(process.wait() for process in (first, second))
    if codes == [ExitCode.DONE, ExitCode.STORE]:
        return "one scored, one was told"
    return f"exit codes {codes}"


def _found(night: Night) -> pd.DataFrame:
    """The output, in the order of the input."""
    if night.server is None:
        return pd.read_parquet(night.output)
    return _asked(night, lambda connection: pd.read_sql_table(TABLE, connection))


def _staged(night: Night) -> int:
    """Tables of the database beside the output."""
    if night.server is None:
        return 0
    return len(_asked(night, lambda connection: sa.inspect(connection).get_table_names())) - 1


def _asked(night: Night, ask: Callable[[sa.Connection], Any]) -> Any:
    assert night.server is not None
    engine = sa.create_engine(night.server.uri.replace("postgresql:", "postgresql+psycopg:", 1))
    with engine.connect() as connection:
        return ask(connection)


def compared(whole: pd.DataFrame, found: pd.DataFrame) -> dict[str, int]:
    """Rows that are missing, that are there twice, and whose cells differ."""
    once = found.drop_duplicates(FIRST_KEYS)
    both = whole.merge(once, on=FIRST_KEYS, suffixes=("", "_found"))
    names = [name for name in whole if name not in FIRST_KEYS]
    same = np.ones(len(both), dtype=bool)
    for name in names:
        same &= (both[name] == both[f"{name}_found"]).to_numpy(bool)
    return {
        "lost": len(whole) - len(both),
        "doubled": len(found) - len(once),
        "changed": int((~same).sum()),
    }


if __name__ == "__main__":
    main()
