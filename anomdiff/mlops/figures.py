"""Pictures of a training run, for the artifacts page of MLflow."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure


def loss_figure(history: pd.DataFrame) -> Figure:
    """Training loss and held-out loss against the optimiser's steps."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(history["step"], history["loss"], alpha=0.5, label="training batch")
    axes.plot(history["step"], history["held_out_loss"], label="held-out rows")
    axes.set(xlabel="step", ylabel="denoising loss", title="Training")
    axes.legend()
    return figure


def calibration_figure(scores: np.ndarray, threshold: float, alpha: float) -> Figure:
    """Histogram of the anomaly scores of held-out normal rows, and the alarm threshold."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.hist(scores, bins=60, log=True)
    if np.isfinite(threshold):
        axes.axvline(threshold, color="C3", label=f"threshold at alpha={alpha:g}")
        axes.legend()
    axes.set(xlabel="anomaly score", ylabel="rows", title=f"{len(scores):,} held-out normal rows")
    return figure
