"""Anomaly detection for tables and time series with one denoising diffusion model."""

__version__ = "0.1.0"
