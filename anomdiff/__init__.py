"""Anomaly detection for tables and time series with one denoising diffusion model."""

from anomdiff.detectors.tabular import TabularDetector
from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.storage import load, save

__version__ = "0.1.0"
__all__ = ["TabularDetector", "TimeSeriesDetector", "__version__", "load", "save"]
