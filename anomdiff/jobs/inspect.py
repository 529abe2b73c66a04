"""What a model is: its columns by kind, what is left out, alpha and threshold, training."""

import json
from typing import Any

import click
import numpy as np

from anomdiff.jobs import command_line
from anomdiff.jobs.exit_codes import meanings
from anomdiff.jobs.registered import load_model

__all__ = ["inspected", "main"]


def inspected(detector: Any) -> dict[str, Any]:
    """Describe a fitted detector.

    Parameters
    ----------
    detector : TabularDetector, SegmentedDetector or TimeSeriesDetector
        The fitted detector.

    Returns
    -------
    description : dict
        JSON values: ``detector``; the ``columns`` (``name``, ``kind``, and why one is
        ``ignored``) or ``channels``, ``series`` and ``time``; ``alpha``, ``threshold`` (None where
        no row can be flagged), ``calibration`` (rows, or steps, that set it), ``training_steps``,
        ``validation_loss``, ``seed``, and the ``parameters`` that are not the defaults.
    """
    threshold = float(detector.threshold_)
    return {
        "detector": type(detector).__name__,
        **_columns(detector),
        "alpha": float(detector.alpha),
        "threshold": threshold if np.isfinite(threshold) else None,
        "calibration": len(detector.calibration_scores_),
        "training_steps": detector.n_iter_,
        "validation_loss": _finite(detector.history_["validation_loss"].min()),
        "seed": int(detector.seed_),
        "parameters": _changed(detector),
    }


def _columns(detector: Any) -> dict[str, Any]:
    if detector.unit == "step":
        layout = detector.model_.layout
        keys = {"series": layout.series, "time": layout.time}
        told = {key: None if name is None else str(name) for key, name in keys.items()}
        return {"channels": [str(name) for name in detector.model_.names], **told}
    columns = detector.schema_.columns
    return {
        "columns": [
            {"name": str(each.name), "kind": each.kind}
            | ({"ignored": each.reason} if each.reason else {})
            for each in columns
        ]
    }


def _changed(detector: Any) -> dict[str, Any]:
    """Parameters that differ from the defaults of the class."""
    given = detector.get_params(deep=False)
    needed = {"by": given["by"]} if "by" in given else {}
    defaults = type(detector)(**needed).get_params(deep=False)
    changed = {name: value for name, value in given.items() if value != defaults[name]}
    return json.loads(json.dumps(changed | needed, default=str))


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


@click.command(epilog=meanings())
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(model: str, as_json: bool) -> None:
    """Say what MODEL is: an address such as models:/NAME@champion, or a folder."""
    with command_line.reported_errors():
        found = inspected(load_model(model))
    click.echo(json.dumps(found, indent=1) if as_json else _text(found))


def _text(found: dict[str, Any]) -> str:
    """Lines for people."""
    lines = [found["detector"]]
    by_kind: dict[str, list[str]] = {}
    for column in found.get("columns", []):
        if "ignored" not in column:
            by_kind.setdefault(column["kind"], []).append(column["name"])
    for name in ("channels", "series", "time"):
        if found.get(name):
            value = found[name]
            by_kind[name] = value if isinstance(value, list) else [value]
    lines += [_line(kind, ", ".join(names)) for kind, names in by_kind.items()]
    ignored = [each for each in found.get("columns", []) if "ignored" in each]
    lines += [_line("ignored", f"{each['name']}: {each['ignored']}") for each in ignored]
    threshold = "none, no row can be flagged" if found["threshold"] is None else found["threshold"]
    shown = threshold if isinstance(threshold, str) else f"{threshold:.6g}"
    lines.append(_line("alpha", f"{found['alpha']:g}, threshold {shown}"))
    lines.append(_line("calibration", f"{found['calibration']:,} held-out scores"))
    loss = found["validation_loss"]
    loss = "" if loss is None else f", validation loss {loss:.4g}"
    lines.append(
        _line("training", f"{found['training_steps']:,} steps{loss}, seed {found['seed']}")
    )
    if found["parameters"]:
        told = ", ".join(f"{name}={value!r}" for name, value in found["parameters"].items())
        lines.append(_line("parameters", told))
    return "\n".join(lines)


def _line(name: str, text: str) -> str:
    return f"  {name:<12} {text}"
