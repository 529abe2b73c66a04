"""Compare detectors on labelled series: `python -m benchmarks.series --help`.

Suites: tsb is a folder of files NNN_FAMILY_..._tr_N_1st_M.csv, whose published figures are VUS-PR
per file (only files that stand there count in the means); skab a folder of valve1, ...; asd an npz
file or its folder; generated needs no data: series with spikes and with level shifts.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.commands import OURS, add_run_options, compare, count, labels, words
from benchmarks.common.comparison import Failures
from benchmarks.series.methods import SERIES
from benchmarks.series.reading import SKAB_TRAIN
from benchmarks.series.suites import SUITES

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if a series failed."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.suite != "generated" and options.data is None:
        parser.error(f"need --data for {options.suite}; got none")
    suite, failures = SUITES[options.suite], Failures()
    options.methods = options.methods or words(suite.methods)
    try:
        runs = [(source, options.seed) for source in suite.find(options)]
        figures = compare(SERIES, runs, options, failures)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    named = labels(options)
    suite.report(figures, options, [named[method] for method in named if method.startswith(OURS)])
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.series", description=__doc__)
    add = parser.add_argument
    add("--suite", default="tsb", choices=SUITES, help="default: tsb")
    add("--data", type=Path, help="files of the suite")
    add("--files", type=words, default=[], help="tsb: with these in the name, e.g. UCR,001_NAB")
    add("--max-files", type=count, help="tsb: only this many, spread evenly over the names")
    about = "skab: fit on the first 400 rows of each run (default), or on the run without anomalies"
    add("--skab-train", choices=SKAB_TRAIN, default="first", help=f"{about}; each wants its --out")
    add("--seeds", type=count, default=5, help="generated: series per shape and kind")
    add("--seed", type=int, default=0, help="of the methods; another one wants another --out")
    add_run_options(parser, SERIES, None)
    return parser


if __name__ == "__main__":
    sys.exit(main())
