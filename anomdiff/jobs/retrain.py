"""Train again where monitoring has found drift, and compare the new version with the champion.

The findings are those of `anomdiff monitor`, of the version that is champion now: what was found
of an earlier one has been answered. The new version becomes challenger; it becomes champion only
if the settings say `promote`, and the rule agrees on recent rows that are held out.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pandas as pd

from anomdiff.jobs import command_line
from anomdiff.jobs.exit_codes import ExitCode, ModelError, SettingsError, meanings
from anomdiff.jobs.model_columns import model_columns
from anomdiff.jobs.promote import Outcome, promote
from anomdiff.jobs.retrain_settings import RetrainSettings
from anomdiff.jobs.settings import PromoteSettings
from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.train import (
    TrainReport,
    describe,
    fit_and_register,
    make_detector,
    told_of_training,
)
from anomdiff.jobs.training_rows import learned_rows, read_rows, row_seed

__all__ = ["Retrained", "main", "retrain", "split_recent"]


class Retrained(NamedTuple):
    """What was found and done; no report without a training, no outcome without a comparison."""

    reasons: list[str]
    report: TrainReport | None = None
    outcome: Outcome | None = None


def retrain(settings: RetrainSettings) -> Retrained:
    """Train on recent rows if monitoring has found drift, and compare with the champion."""
    from anomdiff.integrations.mlflow import registry, tracking_store

    tracking_store.ensure_store()
    champion = _champion(settings.registered_name)
    reasons = _reasons(settings, champion)
    if not reasons:
        return Retrained([])
    recent, held_out = split_recent(settings, read_rows(settings))
    report = _learn(settings, learned_rows(settings, recent), champion)
    challenger = registry.version_of(settings.registered_name, registry.CHALLENGER)
    if report.version != challenger:  # one of these rows that was champion, or was replaced
        return Retrained(reasons, report)
    return Retrained(reasons, report, _compare(settings, held_out))


def _champion(name: str) -> str:
    """Version that is champion."""
    from mlflow.exceptions import MlflowException

    from anomdiff.integrations.mlflow import registry

    try:
        version = registry.version_of(name, registry.CHAMPION)
    except MlflowException:
        version = None
    if version is None:
        raise ModelError(
            f"need a champion of {name!r} to retrain; there is none: run `anomdiff train`, whose "
            "first version becomes the champion, or `anomdiff promote`."
        )
    return version


def _reasons(settings: RetrainSettings, champion: str) -> list[str]:
    """Why to train: what the reports found of the present champion."""
    import mlflow

    if settings.force:
        return ["--force is set"]
    if not settings.report:
        raise SettingsError(
            "need `report`, what `anomdiff monitor` has written, to decide from; got none: set it, "
            "or --force."
        )
    model = mlflow.models.get_model_info(f"models:/{settings.registered_name}/{champion}")
    found = [_read_report(path) for path in settings.report]
    present = [each for each in found if each["model"]["id"] == model.model_id]
    if not present:
        raise ValueError(
            f"need a report on version {champion} of {settings.registered_name!r}, the champion; "
            f"got {', '.join(map(str, settings.report))} on other models: run `anomdiff monitor`, "
            "or set --force."
        )
    return [reason for each in present if each["drifted"] for reason in each["reasons"]]


def _read_report(path: FilePath) -> dict[str, Any]:
    """One report of `anomdiff monitor`."""
    with path.open("rb") as file:
        try:
            report = json.loads(file.read())
            ready = {"id"} <= report["model"].keys() and {"drifted", "reasons"} <= report.keys()
        except (ValueError, TypeError, KeyError, AttributeError):
            ready = False
    if not ready:
        raise ValueError(f"need a report of `anomdiff monitor`; got something else in {path}.")
    return report


def split_recent(
    settings: RetrainSettings, frame: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split recent rows into those to learn from and those to compare on.

    Single rows are drawn, the same ones of the same rows; of each series the last steps are held
    out, because neighbours are no new rows.
    """
    if settings.estimator == "tabular":
        rng = np.random.default_rng(row_seed(settings, frame))
        order = rng.permutation(len(frame))
        held = np.zeros(len(frame), dtype=bool)
        held[order[: round(settings.holdout * len(frame))]] = True
    else:
        held = _places(settings, frame) > 1 - settings.holdout
    if held.all() or not held.any():
        raise ValueError(f"need recent rows to learn from and to compare on; got {len(frame)}.")
    return frame[~held].reset_index(drop=True), frame[held].reset_index(drop=True)


def _places(settings: RetrainSettings, frame: pd.DataFrame) -> np.ndarray:
    """Place of each step in its series, in (0, 1]."""
    order = pd.Series(np.arange(len(frame)), index=frame.index)
    if settings.time is not None:
        times = frame[settings.time]
        if not pd.api.types.is_numeric_dtype(times):
            times = pd.to_datetime(times, errors="coerce", format="mixed")
        order = times.rank(method="first")
    if settings.series is None:
        return order.rank(pct=True).to_numpy()
    return order.groupby(frame[settings.series]).rank(pct=True).to_numpy()


def _learn(settings: RetrainSettings, frame: pd.DataFrame, champion: str) -> TrainReport:
    """Learn as the settings say, and register the version."""
    from anomdiff.integrations.mlflow import flavor

    fresh = make_detector(settings, frame)
    if settings.how == "full":
        report = fit_and_register(settings, frame, fresh)
        assert report is not None  # the job is one process
        return report
    detector = flavor.load_model(f"models:/{settings.registered_name}/{champion}")
    if type(detector) is not type(fresh):
        raise SettingsError(
            f"need the estimator of the champion for how={settings.how!r}, "
            f"{type(detector).__name__}; got {type(fresh).__name__}: set `estimator` and `by` as "
            "there, or how = 'full'."
        )
    how, learn = f"{settings.how} after version {champion}", None
    if settings.how == "update":
        frame = model_columns(detector, list(frame)).rows(frame)
        learn = _update
    else:
        detector.set_params(**fresh.get_params() | {"warm_start": True})
    report = fit_and_register(settings, frame, detector, learn=learn, how=how)
    assert report is not None
    return report


def _update(detector: Any, frame: pd.DataFrame, on_step: Any) -> None:
    """Take rows in instead of a fit."""
    detector.update(frame)


def _compare(settings: RetrainSettings, held_out: pd.DataFrame) -> Outcome:
    """Compare challenger and champion on the rows held out, as `anomdiff promote` does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "held-out.parquet"
        held_out.rename(columns=str).to_parquet(path, index=False)
        rule = PromoteSettings(
            data=path,
            registered_name=settings.registered_name,
            experiment=settings.experiment,
            label=None if settings.label is None else str(settings.label),
            normal=settings.normal,
            rule=settings.rule,
        )
        return promote(rule, move=settings.promote)


def _told(settings: RetrainSettings, done: Retrained) -> list[str]:
    """Lines that say what was done, and why."""
    if not done.reasons:
        return [f"{settings.registered_name}: nothing has drifted, so there is nothing to do"]
    lines = [f"because   {reason}" for reason in done.reasons]
    lines.append(describe(done.report))  # type: ignore[arg-type]
    if done.outcome is None or done.outcome.verdict is None:
        return lines
    verdict, champion = done.outcome.verdict, done.outcome.champion
    lines += [f"for       {sentence}" for sentence in verdict.passed]
    lines += [f"against   {sentence}" for sentence in verdict.failed]
    if not verdict.promote:
        return [*lines, f"champion  version {champion} stays"]
    if settings.promote:
        return [*lines, f"champion  version {done.outcome.challenger}, before {champion}"]
    return [*lines, f"champion  version {champion}, until `anomdiff promote` or promote = true"]


@click.command(epilog=meanings(ExitCode.NOT_PROMOTED))
@command_line.with_options(RetrainSettings)
def main(config: Path | None, **options: Any) -> None:
    """Train again if monitoring has found drift, as the settings file CONFIG says."""
    with command_line.reported_errors():
        settings = command_line.loaded(RetrainSettings, config, options)
        if settings.dry_run:
            click.echo(told_of_training(settings))
            return
        done = retrain(settings)
        click.echo("\n".join(_told(settings, done)))
    verdict = None if done.outcome is None else done.outcome.verdict
    if settings.promote and verdict is not None and not verdict.promote:
        sys.exit(ExitCode.NOT_PROMOTED)
