"""Let the challenger take the champion's place, if recent rows say that it may; or take it back."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pandas as pd

from anomdiff import TimeSeriesDetector
from anomdiff.jobs.errors import command_line
from anomdiff.jobs.panels import panel_columns, panel_keys, panel_rows
from anomdiff.jobs.readers import column_names, match_columns, read_table, text_columns
from anomdiff.jobs.settings import PromoteSettings, Settings, is_normal
from anomdiff.selection.comparison import Evidence, Verdict, gather, promotion_verdict


class Outcome(NamedTuple):
    """What came of a comparison.

    Attributes
    ----------
    verdict : Verdict or None
        None if there is no challenger.
    champion, challenger : str or None
        Versions that were compared.
    run_id : str or None
        Run that keeps the evidence.
    """

    verdict: Verdict | None
    champion: str | None = None
    challenger: str | None = None
    run_id: str | None = None


def promote(settings: PromoteSettings) -> Outcome:
    """Compare challenger and champion on recent rows; promote the challenger if the rule agrees.

    The evidence and the verdict are an MLflow run, whatever the verdict; a promotion also leaves
    them as tags on the version.

    Raises
    ------
    ValueError
        If the data or the settings cannot be used.
    OSError
        If the data is not there or the store does not answer.
    """
    from anomdiff.integrations.mlflow import flavor, registry, tracking_store

    if settings.data is None:
        raise ValueError("need recent rows to compare on; got no `data`.")
    tracking_store.ensure_store()
    name = settings.registered_name
    champion, challenger = (
        registry.version_of(name, alias) for alias in (registry.CHAMPION, registry.CHALLENGER)
    )
    if challenger is None:
        return Outcome(None, champion)
    found: dict[str, Evidence] = {}
    for version in filter(None, (champion, challenger)):
        detector = flavor.load_model(f"models:/{name}/{version}")
        found[version] = gather(detector, *recent_rows(settings, detector))
    verdict = promotion_verdict(found.get(champion), found[challenger], settings.rule)
    run_id = _log(settings, champion, challenger, found, verdict)
    if verdict.promote:
        registry.promote(name, challenger, verdict.reasons, metrics=found[challenger].metrics())
    return Outcome(verdict, champion, challenger, run_id)


def recent_rows(settings: Settings, detector: Any) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Read the columns that a detector looks at, and the labels if there are any.

    Returns
    -------
    rows : DataFrame
        Under the names that the detector knows.
    labels : int8 array of shape (row,), or None
        1 is an anomaly, 0 is normal, -1 is not known.
    """
    series = isinstance(detector, TimeSeriesDetector)
    names = column_names(settings.data, header=settings.header)
    columns = panel_columns(detector, names) if series else match_columns(detector.columns_, names)
    as_text = panel_keys(detector) if series else text_columns(detector.schema_)
    found = [name for name in names if str(name) == str(settings.label)]
    text = [columns[name] for name in as_text]
    frame = read_table(settings.data, header=settings.header, text=text)
    if series:
        rows = panel_rows(detector, frame, columns)
    else:
        rows = frame[list(columns.values())].set_axis(list(columns), axis=1)
    if settings.label is None or not found:
        return rows, None
    anomaly = ~is_normal(frame[found[0]], settings.normal)
    return rows, anomaly.where(frame[found[0]].notna(), -1).astype(np.int8).to_numpy()


def _log(
    settings: PromoteSettings,
    champion: str | None,
    challenger: str,
    found: dict[str, Evidence],
    verdict: Verdict,
) -> str:
    """Keep the comparison as a run."""
    import mlflow

    from anomdiff.integrations.mlflow import tracking_store

    roles = {"champion": champion, "challenger": challenger}
    evidence = {role: found[version] for role, version in roles.items() if version}
    with mlflow.start_run(
        experiment_id=tracking_store.ensure_experiment(settings.experiment), run_name="promotion"
    ) as run:
        mlflow.log_params({"model": settings.registered_name, "data": settings.data, **roles})
        mlflow.set_tag("anomdiff.promoted", str(verdict.promote))
        for role, each in evidence.items():
            mlflow.log_metrics({f"{role}.{key}": value for key, value in each.metrics().items()})
        report = {role: asdict(each) for role, each in evidence.items()}
        report |= {"rule": asdict(settings.rule), "verdict": verdict._asdict()}
        mlflow.log_dict(report, "promotion.json")
        return run.info.run_id


def describe(outcome: Outcome, name: str) -> str:
    """Say what happened, and why."""
    if outcome.verdict is None:
        return f"{name}: no challenger, so version {outcome.champion} stays champion"
    verdict = outcome.verdict
    done = (
        f"{name}: version {outcome.challenger} is champion, before {outcome.champion or 'none'}"
        if verdict.promote
        else f"{name}: version {outcome.champion} stays champion, not {outcome.challenger}"
    )
    lines = [f"  for      {sentence}" for sentence in verdict.passed]
    lines += [f"  against  {sentence}" for sentence in verdict.failed]
    return "\n".join([done, *lines, f"  run      {outcome.run_id}"])


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Recent rows to compare on.")
@click.option("--name", "registered_name", help="Registered model.")
@click.option("--header/--no-header", default=None, help="Does a CSV file name its columns?")
@click.option("--label", help="Column with the known truth, if there is one.")
@click.option("--normal", multiple=True, help="Value of the label that means normal.")
@click.option("--rollback", is_flag=True, help="Put back the champion before this one.")
@click.option("--reason", default="", help="Why, to be kept with a rollback.")
def main(config: Path | None, rollback: bool, reason: str, **options: Any) -> None:
    """Promote the challenger as the settings file CONFIG says; options override it."""
    with command_line():
        overrides = {key: value for key, value in options.items() if value not in (None, ())}
        settings = PromoteSettings.load(config, overrides)
        if rollback:
            from anomdiff.integrations.mlflow import registry, tracking_store

            tracking_store.ensure_store()
            done = registry.rollback(settings.registered_name, reason)
            click.echo(
                f"{done.name}: version {done.version} is champion again, not {done.replaced}"
            )
            return
        click.echo(describe(promote(settings), settings.registered_name))


if __name__ == "__main__":
    main()
