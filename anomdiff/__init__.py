"""Anomaly detection for tables and time series with one denoising diffusion model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomdiff.augmentation import augment
    from anomdiff.detectors.by_segment import SegmentedDetector
    from anomdiff.detectors.tabular import TabularDetector
    from anomdiff.detectors.timeseries import TimeSeriesDetector
    from anomdiff.storage import load, save

__all__ = [
    "SegmentedDetector",
    "TabularDetector",
    "TimeSeriesDetector",
    "__version__",
    "augment",
    "load",
    "save",
]
__version__ = "0.1.0"

# Where each name lives: torch and pandas are imported when one of them is asked for.
_HOMES = {
    "SegmentedDetector": "anomdiff.detectors.by_segment",
    "TabularDetector": "anomdiff.detectors.tabular",
    "TimeSeriesDetector": "anomdiff.detectors.timeseries",
    "augment": "anomdiff.augmentation",
    "load": "anomdiff.storage",
    "save": "anomdiff.storage",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Public names."""
    return sorted(__all__)
