"""Training one denoiser for a model: initial weights, resume, progress bar, hooks."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from anomdiff.diffusion.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.distributed import from_first, rank, require_same
from anomdiff.diffusion.networks import ResidualMLP, WindowMLP
from anomdiff.diffusion.training import TrainingConfig, TrainingState, train
from anomdiff.models.parallel import torch_threads
from anomdiff.models.progress import progress_bar

__all__ = ["HISTORY", "StepHook", "chain", "train_denoiser", "warm_started"]

StepHook = Callable[[TrainingState], None]

DEFAULTS = TrainingConfig()
# Columns of the course of training.
HISTORY = ["step", "loss", "validation_loss", "learning_rate"]
# Share of ``max_iter`` after which a warm start ends; `python -m benchmarks.systems.drift` measures
# it against a full fit.
WARM_SHARE = 0.25
# Parameters that do not change what training computes.
WITHOUT_EFFECT = {"progress", "checkpoint"}


def train_denoiser(
    make_network: Callable[[], nn.Module],
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    parameters: Mapping[str, Any],
    seed: int,
    on_step: StepHook | None,
    *,
    groups: Tensor | None = None,
    base: TrainingConfig = DEFAULTS,
) -> tuple[Denoiser, pd.DataFrame]:
    r"""Train a new network, or go on from the checkpoint if there is one.

    Of several processes, the first one reads and writes the checkpoint, shows the progress and
    calls the hook.

    Parameters
    ----------
    make_network : callable
        Returns the untrained network.
    training, validation : pair of Tensor
        Values and observed, of shape (row, \*event).
    parameters : mapping
        Parameters of the estimator.
    seed : int
        Seed of weights, batches and noise.
    on_step : callable or None
        The caller's hook.
    groups : int Tensor of shape (entry,), optional
        Entries that are given together, see ``train``.
    base : TrainingConfig
        What the parameters do not say.

    Returns
    -------
    denoiser : Denoiser
        Trained, without gradients.
    history : DataFrame
        One row per evaluation; columns ``HISTORY``.
    """
    settings = {name: value for name, value in parameters.items() if name not in WITHOUT_EFFECT}
    run = fingerprint(training[0], {**settings, "seed": seed})
    require_same(run)
    first = rank() == 0
    path = None if parameters["checkpoint"] is None else Path(parameters["checkpoint"])
    resume = from_first(read_checkpoint(path, run) if path is not None and first else None)
    chosen = {name: parameters[name] for name in ("max_iter", "batch_size", "learning_rate")}
    config = replace(base, **chosen)
    # On a CPU the batches are too small to share: a second thread costs more than it brings, and
    # with one thread the weights are the same whatever the number of cores.
    shown = parameters["progress"] and first
    with torch_threads(1), _progress_bar(config.max_iter, shown=shown) as advance:
        result = train(
            _untrained(make_network, seed),
            *training,
            validation,
            config,
            seed,
            groups=groups,
            device=_resolve(parameters["device"]),
            resume=resume,
            on_step=chain(advance, _checkpointing(path, run), on_step) if first else None,
        )
    return result.denoiser.requires_grad_(False), pd.DataFrame(result.history, columns=HISTORY)


def warm_started(
    make_network: Callable[[], nn.Module],
    entries: Sequence[Any],
    parameters: Mapping[str, Any],
    fitted: tuple[Denoiser, Sequence[Any]] | None,
) -> tuple[Callable[[], nn.Module], Mapping[str, Any]]:
    """Let training start from the weights of a fitted network, with fewer steps.

    Parameters
    ----------
    make_network : callable
        Returns the untrained network, with ``width`` and ``n_blocks`` as ``parameters`` say.
    entries : sequence
        Names of the entries of an event.
    parameters : mapping
        Parameters of the estimator.
    fitted : pair or None
        The fitted denoiser and the names of its entries; entries find their weights by name.

    Returns
    -------
    make_network, parameters : callable and mapping
        As given where nothing is fitted, else those of the warm start.

    Raises
    ------
    ValueError
        If the fitted network has another width or depth.
    """
    if fitted is None:
        return make_network, parameters
    denoiser, names = fitted
    had = {name: denoiser.shape[name] for name in ("width", "n_blocks")}
    wanted = {name: int(parameters[name]) for name in had}
    if had != wanted:
        raise ValueError(
            f"warm_start needs the width and n_blocks of the fitted network, {had}; got {wanted}: "
            "set these, or warm_start=False."
        )
    at = {name: place for place, name in enumerate(names)}
    places = [at.get(name, -1) for name in entries]

    def make() -> nn.Module:
        network = make_network()
        _rows_network(network).take_over(_rows_network(denoiser.network), places)
        return network

    return make, {**parameters, "max_iter": math.ceil(WARM_SHARE * parameters["max_iter"])}


def _rows_network(network: Any) -> ResidualMLP:
    """Network of flat events; that of windows has one."""
    return network.flat if isinstance(network, WindowMLP) else network


def chain(*hooks: StepHook | None) -> StepHook:
    """Call several hooks in turn."""
    present = [hook for hook in hooks if hook is not None]

    def call(state: TrainingState) -> None:
        for hook in present:
            hook(state)

    return call


@contextmanager
def _progress_bar(total: int, *, shown: bool) -> Iterator[StepHook]:
    """Give a hook that advances a bar; quiet where nobody watches (no terminal)."""
    with progress_bar(shown, total=total, desc="training", unit="step") as bar:

        def advance(state: TrainingState) -> None:
            bar.update(state.step - bar.n)
            if state.validation_loss is not None:
                bar.set_postfix(validation_loss=f"{state.validation_loss:.4f}")

        yield advance


def _checkpointing(path: Path | None, run: str) -> StepHook | None:
    """Give a hook that writes a checkpoint whenever the validation loss was measured."""
    if path is None:
        return None

    def write(state: TrainingState) -> None:
        if state.validation_loss is not None:
            write_checkpoint(state, path, run)

    return write


def _untrained(make_network: Callable[[], nn.Module], seed: int) -> Denoiser:
    """Seeded weights; torch initialises layers from its global state only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Denoiser(make_network())


def _resolve(device: str) -> str:
    """Device to train on; ``auto`` is a GPU if there is one."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
