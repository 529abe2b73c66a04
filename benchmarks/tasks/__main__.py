"""Measure all that a detector answers: `python -m benchmarks.tasks --help`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.commands import words
from benchmarks.common.results import write
from benchmarks.tasks import attribution, forecast, imputation, repairs, samples, thresholds

__all__ = ["ANSWERS", "main"]

ANSWERS = {
    "thresholds": thresholds,
    "attribution": attribution,
    "repairs": repairs,
    "imputation": imputation,
    "samples": samples,
    "forecast": forecast,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the answers asked for, write a CSV of each, and print their figures in one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=__doc__)
    about = "folder of adbench, mixed and TSB-AD-U; else generated data"
    parser.add_argument("--data", type=Path, help=about)
    about = f"some of {','.join(ANSWERS)} (default: all)"
    parser.add_argument("--only", type=words, default=list(ANSWERS), help=about)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for a CSV per answer")
    options = parser.parse_args(argv)
    if unknown := set(options.only) - set(ANSWERS):
        parser.error(f"need answers among {', '.join(ANSWERS)}; got {', '.join(unknown)}")
    figures = []
    for name in options.only:
        answer = ANSWERS[name]
        found = answer.measure(answer.read(options.data, options.seed), seed=options.seed)
        write(found, options.out and options.out / f"{name}.csv")
        print(found.round(4).to_string(index=False))
        print(f"{name}: {answer.summary(found)}", flush=True)
        figures.append(answer.figure(found))
    print(" | ".join(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
