"""Ranges of the detectors' parameters, checked when ``fit`` begins."""

from numbers import Integral, Real

# name: (type, lowest, highest, ends included); None is no bound.
RANGES = {
    "alpha": (Real, 0, 1, False),
    "validation_fraction": (Real, 0, 1, False),
    "max_validation": (Integral, 1, None, True),
    "max_iter": (Integral, 1, None, True),
    "batch_size": (Integral, 1, None, True),
    "learning_rate": (Real, 0, None, False),
    "width": (Integral, 1, None, True),
    "n_blocks": (Integral, 1, None, True),
    "n_levels": (Integral, 2, None, True),
    "n_draws": (Integral, 2, None, True),
    "sigma_min": (Real, 0, None, False),
    "sigma": (Real, 0, None, False),
    "network_length": (Integral, 1, None, True),
    "max_calibration": (Integral, 1, None, True),
    "max_reference": (Integral, 2, None, True),
    "trim_fraction": (Real, 0, 0.5, True),
    "max_categories": (Integral, 1, None, True),
}


def check_parameters(parameters: dict) -> None:
    """Refuse a parameter of the wrong type or out of its range.

    Parameters
    ----------
    parameters : dict
        From ``get_params``; names without a range are not looked at.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, what it needs and what came.
    """
    for name, (kind, low, high, included) in RANGES.items():
        if name not in parameters:
            continue
        value = parameters[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            word = "a whole number" if kind is Integral else "a number"
            raise TypeError(f"{name} must be {word}; got {value!r}.")
        above = low <= value if included else low < value
        if not above or (high is not None and value >= high):
            raise ValueError(f"{name} must be {_words(low, high, included)}; got {value!r}.")


def _words(low, high, included: bool) -> str:
    """Say a range in words."""
    if high is not None:
        return f"between {low}{' (included)' if included else ''} and {high} (excluded)"
    return f"at least {low}" if included else f"above {low}"
