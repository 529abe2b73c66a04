"""Measure all that a detector answers: `python -m benchmarks.answers --help`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.answers import forecast, imputation, reasons, repairs, samples, thresholds

OURS = "anomdiff"


class Answer(NamedTuple):
    """One answer: how it is measured, and its figure in the last line."""

    measure: Callable[[Path | None, int], pd.DataFrame]
    summary: Callable[[pd.DataFrame], str]
    figure: Callable[[pd.DataFrame], str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the answers asked for, write a CSV of each, and print their figures in one line."""
    parser = _parser()
    options = parser.parse_args(argv)
    unknown = set(options.only) - set(ANSWERS)
    if unknown:
        parser.error(f"need answers among {', '.join(ANSWERS)}; got {', '.join(unknown)}")
    figures = []
    for name in options.only:
        answer = ANSWERS[name]
        found = answer.measure(options.data, options.seed)
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            found.to_csv(options.out / f"{name}.csv", index=False)
        print(found.round(4).to_string(index=False))
        print(f"{name}: {answer.summary(found)}", flush=True)
        figures.append(answer.figure(found))
    print(" | ".join(figures))
    return 0


def _thresholds(data: Path | None, seed: int) -> pd.DataFrame:
    tables = thresholds.generated_tables(seed)
    if data is not None:
        tables = thresholds.adbench_tables(data)
    return thresholds.measure(tables, seed=seed)


def _forecast(data: Path | None, seed: int) -> pd.DataFrame:
    return forecast.measure(None if data is None else data / "TSB-AD-U", seed)


def _on_tables(module) -> Callable[[Path | None, int], pd.DataFrame]:
    return lambda data, seed: module.measure(module.tables(data, seed), seed)


def _conformal_figure(found: pd.DataFrame) -> str:
    kept = thresholds.keeps(found[found["check"] != "refit"])
    return f"conformal ok {kept.sum()}/{len(kept)}"


def _reasons_figure(found: pd.DataFrame) -> str:
    return f"reasons top1 {found.loc[found['method'] == OURS, 'top1'].mean():.3f}"


def _repair_figure(found: pd.DataFrame) -> str:
    return f"repair {(found['normal'] * found['n']).sum() / found['n'].sum():.3f}"


def _impute_figure(found: pd.DataFrame) -> str:
    """Our error over that of the competitor it is nearest to."""
    ratios = [(found[OURS] / found[other]).mean() for other in ("knn", "iterative")]
    return f"impute ratio {max(ratios):.3f}"


def _sample_figure(found: pd.DataFrame) -> str:
    ratio = (found["auroc_generated"] / found["auroc_real"]).mean()
    return f"sample AUROC ratio {ratio:.3f}"


def _forecast_figure(found: pd.DataFrame) -> str:
    return f"forecast pinball ratio {found.loc[found['method'] == OURS, 'ratio'].mean():.3f}"


ANSWERS = {
    "thresholds": Answer(_thresholds, thresholds.summary, _conformal_figure),
    "reasons": Answer(_on_tables(reasons), reasons.summary, _reasons_figure),
    "repairs": Answer(_on_tables(repairs), repairs.summary, _repair_figure),
    "imputation": Answer(_on_tables(imputation), imputation.summary, _impute_figure),
    "samples": Answer(
        lambda data, seed: samples.measure(imputation.tables(data, seed), seed),
        samples.summary,
        _sample_figure,
    ),
    "forecast": Answer(_forecast, forecast.summary, _forecast_figure),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument(
        "--data", type=Path, help="folder of adbench, mixed and TSB-AD-U; else generated data"
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(ANSWERS),
        help=f"some of {','.join(ANSWERS)} (default: all)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for a CSV per answer")
    return parser


if __name__ == "__main__":
    sys.exit(main())
