"""Promote the challenger if it is no worse than the champion on recent rows, or roll back."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import click

from anomdiff.jobs import command_line
from anomdiff.jobs.dry_run import dry_run
from anomdiff.jobs.exit_codes import ExitCode, SettingsError, meanings
from anomdiff.jobs.model_columns import read_model_rows
from anomdiff.jobs.registered import told_if_missing
from anomdiff.jobs.settings import PromoteSettings
from anomdiff.selection.comparison import Evidence, Verdict, gather_all, promotion_verdict

__all__ = ["Outcome", "describe", "main", "promote"]


class Outcome(NamedTuple):
    """Verdict on two versions, and the run with the evidence; None if there is no challenger."""

    verdict: Verdict | None
    champion: str | None = None
    challenger: str | None = None
    run_id: str | None = None


def promote(settings: PromoteSettings, *, move: bool = True) -> Outcome:
    """Compare challenger and champion on recent rows; promote the challenger if the rule agrees.

    Evidence and verdict are logged as an MLflow run, whatever the verdict; a promotion also keeps
    them as tags of the version. With ``move=False`` the champion stays in any case.
    """
    from anomdiff.integrations.mlflow import flavor, registry, tracking_store

    if settings.data is None:
        raise SettingsError("need recent rows to compare on; got no `data`.")
    tracking_store.ensure_store()
    name = settings.registered_name
    with told_if_missing(f"a registered model {name!r}", "`registered_name` (--name)"):
        champion, challenger = (
            registry.version_of(name, alias) for alias in (registry.CHAMPION, registry.CHALLENGER)
        )
    if challenger is None:
        return Outcome(None, champion)
    versions: list[str | None] = [each for each in (champion, challenger) if each is not None]
    measured = []
    for version in versions:
        detector = flavor.load_model(f"models:/{name}/{version}")
        measured.append((detector, *read_model_rows(settings.source, settings, detector)))
    found = dict(zip(versions, gather_all(measured), strict=True))
    verdict = promotion_verdict(found.get(champion), found[challenger], settings.rule)
    run_id = _log(settings, champion, challenger, found, verdict)
    if verdict.promote and move:
        registry.promote(name, challenger, verdict.reasons, metrics=found[challenger].metrics())
    return Outcome(verdict, champion, challenger, run_id)


def _log(
    settings: PromoteSettings,
    champion: str | None,
    challenger: str,
    found: dict[str | None, Evidence],
    verdict: Verdict,
) -> str:
    """Log the comparison as a run."""
    import mlflow

    from anomdiff.integrations.mlflow import tracking_store

    roles = {"champion": champion, "challenger": challenger}
    evidence = {role: found[version] for role, version in roles.items() if version}
    with mlflow.start_run(
        experiment_id=tracking_store.ensure_experiment(settings.experiment), run_name="promotion"
    ) as run:
        mlflow.log_params(
            {"model": settings.registered_name, "data": str(settings.source), **roles}
        )
        mlflow.set_tag("anomdiff.promoted", str(verdict.promote))
        for role, each in evidence.items():
            mlflow.log_metrics({f"{role}.{key}": value for key, value in each.metrics().items()})
        report = {role: asdict(each) for role, each in evidence.items()}
        report |= {"rule": asdict(settings.rule), "verdict": verdict._asdict()}
        mlflow.log_dict(report, "promotion.json")
        return run.info.run_id


def describe(outcome: Outcome, name: str) -> str:
    """Lines that say what happened, and why."""
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


@click.command(epilog=meanings(ExitCode.NOT_PROMOTED))
@command_line.with_options(PromoteSettings)
@click.option("--rollback", is_flag=True, help="Put back the champion before this one.")
@click.option("--reason", default="", help="Why, to be kept with a rollback.")
def main(config: Path | None, rollback: bool, reason: str, **options: Any) -> None:
    """Promote the challenger as the settings file CONFIG says; options override it."""
    with command_line.reported_errors():
        settings = command_line.loaded(PromoteSettings, config, options)
        if settings.dry_run:
            click.echo(dry_run(settings))
            return
        if rollback:
            click.echo(_roll_back(settings.registered_name, reason))
            return
        outcome = promote(settings)
        click.echo(describe(outcome, settings.registered_name))
    if outcome.verdict is not None and not outcome.verdict.promote:
        sys.exit(ExitCode.NOT_PROMOTED)


def _roll_back(name: str, reason: str) -> str:
    """Put back the champion before this one, and say so."""
    from anomdiff.integrations.mlflow import registry, tracking_store

    tracking_store.ensure_store()
    with told_if_missing(f"a registered model {name!r}", "`registered_name` (--name)"):
        done = registry.rollback(name, reason)
    return f"{done.name}: version {done.version} is champion again, not {done.replaced}"
