"""Ranges of the parameters of models, and how they fit together; checked when ``fit`` begins."""

from collections.abc import Mapping, Sized
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anomdiff.encoding.calendar_features import require_calendar
from anomdiff.encoding.excluded import intervals
from anomdiff.encoding.json_values import require_storable
from anomdiff.encoding.repeated_times import DUPLICATE_TIMES

__all__ = ["check_parameters", "storable_parameter"]

# name: (type, lowest, highest, ends included); None is no bound.
RANGES: dict[str, tuple[Any, float, float | None, bool]] = {
    "alpha": (Real, 0, 1, False),
    "validation_fraction": (Real, 0, 1, False),
    "max_unreadable": (Real, 0, 1, True),
    "max_validation": (Integral, 1, None, True),
    "max_iter": (Integral, 1, None, True),
    "batch_size": (Integral, 1, None, True),
    "learning_rate": (Real, 0, None, False),
    "width": (Integral, 1, None, True),
    "n_blocks": (Integral, 1, None, True),
    "n_levels": (Integral, 2, None, True),
    "n_draws": (Integral, 2, None, True),
    "sigma_min": (Real, 0, None, False),
    "sigma_max": (Real, 0, None, False),
    "sigma": (Real, 0, None, False),
    "network_length": (Integral, 1, None, True),
    "max_calibration": (Integral, 1, None, True),
    "max_reference": (Integral, 2, None, True),
    "trim_fraction": (Real, 0, 0.5, True),
    "max_categories": (Integral, 1, None, True),
}

# A source of randomness is stored as the seed that it gave; a torch.device as its name.
NOT_STORED = {"random_state", "device"}


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse a parameter of the wrong type or out of its range, or two that do not fit together.

    Parameters
    ----------
    parameters : mapping
        From ``get_params``; those that are not there are not checked.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, what it needs and what came.
    """
    for name in (name for name in RANGES if name in parameters):
        _check_range(name, parameters[name])
    checks = {
        "sigma_max": _check_levels,
        "n_draws": _check_draws,
        "window_lengths": _check_window_lengths,
        "covariates": _check_covariates,
        "calendar": _check_calendar,
        "kinds": _check_kinds,
        "missing_values": _check_missing_values,
        "date_format": _check_date_format,
        "device": _check_device,
        "progress": lambda given: _check_flag("progress", given),
        "warm_start": lambda given: _check_flag("warm_start", given),
        "checkpoint": _check_checkpoint,
        "duplicate_times": _check_duplicate_times,
        "drop": _check_drop,
        "exclude": lambda given: intervals(given["exclude"]),
    }
    for name in (name for name in checks if name in parameters):
        checks[name](parameters)
    for name in parameters.keys() - NOT_STORED:
        require_storable(f"parameter {name}", storable_parameter(name, parameters[name]))


def storable_parameter(name: str, value: Any) -> Any:
    """Return a parameter as it is stored: intervals of a frame as tuples."""
    if name != "exclude" or value is None:
        return value
    return [tuple(each) for each in intervals(value)]


def _check_range(name: str, value: Any) -> None:
    kind, low, high, included = RANGES[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        word = "a whole number" if kind is Integral else "a number"
        raise TypeError(f"{name} must be {word}; got {value!r}.")
    above = low <= value if included else low < value
    if not above or (high is not None and value >= high) or not np.isfinite(value):
        raise ValueError(f"{name} must be {_words(low, high, included)}; got {value!r}.")


def _words(low: float, high: float | None, included: bool) -> str:
    """Say a range in words."""
    if high is not None:
        return f"between {low}{' (included)' if included else ''} and {high} (excluded)"
    return f"at least {low}" if included else f"above {low} and finite"


def _check_levels(parameters: Mapping[str, Any]) -> None:
    low, high = parameters["sigma_min"], parameters["sigma_max"]
    if low >= high:
        raise ValueError(f"need sigma_min below sigma_max; got sigma_min={low}, sigma_max={high}.")


def _check_draws(parameters: Mapping[str, Any]) -> None:
    if parameters["n_draws"] % 2:
        n_draws = parameters["n_draws"]
        raise ValueError(f"n_draws must be even (antithetic pairs); got {n_draws}.")


def _check_window_lengths(parameters: Mapping[str, Any]) -> None:
    lengths = parameters["window_lengths"]
    # An iterator would be used up, and what is no list could not be stored.
    is_list = isinstance(lengths, Sized) and not isinstance(lengths, Mapping)
    listed = list(lengths) if is_list and np.iterable(lengths) else []
    if not listed or not all(isinstance(w, int | np.integer) and w > 1 for w in listed):
        raise ValueError(
            f"window_lengths must be a list of whole numbers above 1; got {lengths!r}."
        )


def _check_covariates(parameters: Mapping[str, Any]) -> None:
    covariates = parameters["covariates"]
    if covariates is not None and (isinstance(covariates, str) or not np.iterable(covariates)):
        raise TypeError(f"covariates must be a list of columns, or None; got {covariates!r}.")


def _check_duplicate_times(parameters: Mapping[str, Any]) -> None:
    given = parameters["duplicate_times"]
    if not isinstance(given, str) or given not in DUPLICATE_TIMES:
        raise ValueError(f"duplicate_times must be one of {list(DUPLICATE_TIMES)}; got {given!r}.")


def _check_drop(parameters: Mapping[str, Any]) -> None:
    drop = parameters["drop"]
    if isinstance(drop, str) or not np.iterable(drop):
        raise TypeError(f"drop must be a list of columns; got {drop!r}.")


def _check_calendar(parameters: Mapping[str, Any]) -> None:
    require_calendar(parameters["calendar"], parameters["holidays"])


def _check_kinds(parameters: Mapping[str, Any]) -> None:
    kinds = parameters["kinds"]
    if kinds is not None and not isinstance(kinds, Mapping):
        raise TypeError(f"kinds must be a dict of column to kind, or None; got {kinds!r}.")


def _check_missing_values(parameters: Mapping[str, Any]) -> None:
    given = parameters["missing_values"]
    listed = list(given.values()) if isinstance(given, Mapping) else [given]
    several = [value for each in listed for value in ([each] if np.isscalar(each) else each or ())]
    if not all(isinstance(value, str | Real) for value in several):
        raise TypeError(
            "missing_values must be numbers and texts, or a dict of column to these; "
            f"got {given!r}."
        )


def _check_date_format(parameters: Mapping[str, Any]) -> None:
    date_format = parameters["date_format"]
    if date_format is not None and "%" not in str(date_format):
        raise ValueError(f"date_format must be like '%d/%m/%Y', or None; got {date_format!r}.")


def _check_device(parameters: Mapping[str, Any]) -> None:
    device = parameters["device"]
    try:
        kind = "cpu" if device == "auto" else torch.device(device).type
    except (RuntimeError, TypeError):
        kind = None
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda'; got {device!r}.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r} needs a GPU; there is none, set device='auto'.")


def _check_flag(name: str, parameters: Mapping[str, Any]) -> None:
    if not isinstance(parameters[name], bool | np.bool_):
        raise TypeError(f"{name} must be True or False; got {parameters[name]!r}.")


def _check_checkpoint(parameters: Mapping[str, Any]) -> None:
    path = parameters["checkpoint"]
    if path is None:
        return
    if not isinstance(path, str | PathLike):
        raise TypeError(f"checkpoint must be the path of a file, or None; got {path!r}.")
    if not str(path) or Path(path).is_dir() or not Path(path).absolute().parent.is_dir():
        raise ValueError(f"checkpoint must be a file in a folder that exists; got {str(path)!r}.")
