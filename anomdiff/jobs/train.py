"""Train a detector on a table or on series: read, fit, log, register, and say where it all is.

`torchrun --nproc-per-node 4 -m pipelines.train CONFIG` shares the training among processes; only
the first of them logs, registers and prints.
"""

import hashlib
import json
import logging
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import pandas as pd

import anomdiff
from anomdiff.detectors.by_segment import SegmentedDetector
from anomdiff.detectors.tabular import TabularDetector
from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.diffusion import distributed
from anomdiff.jobs import command_line
from anomdiff.jobs.exit_codes import SettingsError, meanings
from anomdiff.jobs.readers import match_columns
from anomdiff.jobs.rescued import rescue, rescued
from anomdiff.jobs.settings import TrainSettings
from anomdiff.jobs.training_rows import panel_columns, training_rows

__all__ = [
    "TrainReport",
    "describe",
    "fit_and_register",
    "how_to_look",
    "main",
    "make_detector",
    "train",
]

logger = logging.getLogger(__name__)

Detector = TabularDetector | TimeSeriesDetector
# Parameters that leave a model as it is.
WITHOUT_EFFECT_ON_MODEL = {"progress", "checkpoint"}
ESTIMATORS = {"tabular": TabularDetector, "timeseries": TimeSeriesDetector}


class TrainReport(NamedTuple):
    """Where a trained model is; its rows include those held out for calibration."""

    store: str
    run_id: str
    name: str
    version: str
    alias: str
    model_uri: str
    n_rows: int
    threshold: float
    trained: bool = True  # not if there was such a version already


def train(settings: TrainSettings) -> TrainReport | None:
    """Fit a detector as the settings say, log the run and register the model.

    The same rows are not trained on with the same settings twice, unless `force` is set.
    """
    frame = training_rows(settings)
    return fit_and_register(settings, frame, make_detector(settings, frame))


def fit_and_register(
    settings: TrainSettings,
    frame: pd.DataFrame,
    detector: Detector,
    *,
    learn: Any = None,
    how: str = "full",
) -> TrainReport | None:
    """Fit a detector, log the run and register the model, unless there is such a version.

    Of several processes, only the first logs, registers and gets the report; the others take part
    in the fit and get None. A detector that was fitted before the store failed is saved, and
    `fitted` of the settings takes it up. ``learn`` is that of `log_training`, and ``how`` tells in
    a few words what it does.
    """
    from anomdiff.integrations.mlflow import registry, runs, tracking_store

    first, known, uri = not distributed.rank(), None, ""
    if first:
        uri = tracking_store.ensure_store()
    digests = {
        "data_digest": runs.data_digest(frame),
        "settings_digest": _settings_digest(settings, detector, how),
    }
    if settings.fitted is not None:
        detector, learn = rescued(settings.fitted, digests), _leave
    if first and not settings.force:
        known = registry.version_with(settings.registered_name, digests)
    known = distributed.from_first(known)
    if not first:
        if known is None and settings.fitted is None:
            _take_part(detector, frame)
        return None
    if known is not None:
        return _known(known, uri, len(frame))
    model, version = _registered(settings, frame, detector, digests, learn)
    return TrainReport(
        store=tracking_store.without_password(uri),
        run_id=model.run_id,
        name=version.name,
        version=version.version,
        alias=version.alias,
        model_uri=version.uri,
        n_rows=len(frame),
        threshold=float(detector.threshold_),
    )


def _registered(
    settings: TrainSettings,
    frame: pd.DataFrame,
    detector: Detector,
    digests: dict[str, str],
    learn: Any,
) -> tuple[Any, Any]:
    """Log the run and register its model; save the detector if that fails after the fit."""
    from anomdiff.integrations.mlflow import registry, runs

    try:
        model = runs.log_training(
            detector,
            frame,
            experiment=settings.experiment,
            model_name=settings.model_name,
            run_name=f"{settings.registered_name} {datetime.now(UTC):%Y-%m-%d}",
            source=str(settings.source),
            parameters=_job_parameters(settings),
            learn=learn,
        )
        tags = {**digests, "alpha": detector.alpha}
        description = (model.metadata or {}).get("description")
        return model, registry.register(model, settings.registered_name, tags, description)
    except BaseException as error:  # also what a signal raises
        rescue(detector, settings.registered_name, digests, error)
        raise


def _known(version: Any, uri: str, n_rows: int) -> TrainReport:
    """Report of a version that was trained on the same rows with the same settings."""
    from mlflow import MlflowClient

    from anomdiff.integrations.mlflow import flavor, tracking_store

    return TrainReport(
        store=tracking_store.without_password(uri),
        run_id=str(MlflowClient().get_model_version(version.name, version.version).run_id),
        name=version.name,
        version=version.version,
        alias=version.alias,
        model_uri=version.uri,
        n_rows=n_rows,
        threshold=float(flavor.load_model(version.uri).threshold_),
        trained=False,
    )


def _settings_digest(settings: TrainSettings, detector: Detector, how: str) -> str:
    """SHA-256 of what decides on a model beside its rows."""
    parameters = {
        name: value
        for name, value in detector.get_params(deep=False).items()
        if name not in WITHOUT_EFFECT_ON_MODEL
    }
    decides = [settings.estimator, how, anomdiff.__version__, parameters]
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


def make_detector(settings: TrainSettings, frame: pd.DataFrame) -> Detector:
    """Detector with the parameters of the settings; one that it does not have is an error."""
    estimator: Any = ESTIMATORS[settings.estimator]
    known = estimator().get_params()
    unknown = sorted(settings.detector.keys() - known.keys())
    if unknown:
        raise SettingsError(f"detector has no parameters {unknown}; it has {', '.join(known)}.")
    if settings.estimator == "timeseries":
        return estimator(**(panel_columns(settings, list(frame)) | settings.detector))
    named = match_columns(list(settings.kinds), frame.columns)
    kinds = {named[name]: kind for name, kind in settings.kinds.items()}
    given = {"kinds": kinds or None} | settings.detector
    if settings.by is None:
        return estimator(**given)
    by = match_columns([settings.by], list(frame))[settings.by]
    return SegmentedDetector(by=by, min_rows=settings.min_rows, **given)


def _take_part(detector: Detector, frame: pd.DataFrame) -> None:
    """Take part in the training; the first process gives all warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector.fit(frame)


def _leave(detector: Detector, frame: pd.DataFrame, on_step: Any) -> None:
    """Leave a detector as it is instead of a fit: it was fitted before."""


def _job_parameters(settings: TrainSettings) -> dict[str, Any]:
    """Settings of the job itself; the detector's own are logged by name."""
    found = settings.model_dump(mode="json", exclude={"detector", "kinds", "force"})
    return {f"job.{key}": value for key, value in found.items()}


def told_of_training(settings: TrainSettings) -> str:
    """Check a training without doing it, and say what it would learn from."""
    frame = training_rows(settings)
    detector = make_detector(settings, frame)
    return (
        "dry run: nothing is written\n"
        f"  would read   data: {settings.source}\n"
        f"  would fit    {type(detector).__name__} on {len(frame):,} rows of {frame.shape[1]} "
        f"columns\n  would write  a version of {settings.registered_name}"
    )


def describe(report: TrainReport) -> str:
    """Lines that say where the run and the model are."""
    version = f"{report.name} version {report.version}"
    version += f" ({report.alias})" if report.alias else ""
    if not report.trained:
        return (
            f"model     {version} is fitted on these {report.n_rows:,} rows with these settings "
            f"already: {report.model_uri}; set --force to fit it again\n"
            f"run       {report.run_id} in {report.store}"
        )
    return (
        f"model     {version}, fitted on {report.n_rows:,} rows: {report.model_uri}\n"
        f"threshold {report.threshold:.4g}\n"
        f"run       {report.run_id} in {report.store}"
    )


def how_to_look(store: str) -> str:
    """What to type, or which page to open, to see the runs of a store."""
    if store.startswith("http"):
        return f"open {store}"
    program = Path(sys.executable).with_name("mlflow")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return f"{program} ui --backend-store-uri {store}"


@click.command(epilog=meanings())
@command_line.with_options(TrainSettings)
def main(config: Path | None, **options: Any) -> None:
    """Train a detector as the settings file CONFIG says; options override it."""
    with command_line.reported_errors(), distributed.joined():
        settings = command_line.loaded(TrainSettings, config, options)
        if settings.dry_run:
            click.echo(told_of_training(settings))
            return
        report = train(settings)
        if report is not None:
            click.echo(f"{describe(report)}\nto look   {how_to_look(report.store)}")
