"""Training one denoiser for an estimator: initial weights, resume, progress bar, hooks."""

from pathlib import Path

import torch
from torch import Tensor, nn

from anomdiff.diffusion.checkpoint import fingerprint, read_checkpoint
from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.distributed import from_first, rank, require_same
from anomdiff.diffusion.masks import DrawGiven
from anomdiff.diffusion.training import TrainingConfig, TrainResult, train
from anomdiff.models.parallel import torch_threads
from anomdiff.models.progress import StepHook, chain, checkpointing, progress_bar

# Parameters that do not change what training computes.
ASIDE = {"progress", "checkpoint"}


def fit_denoiser(
    make_network,
    training: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    parameters: dict,
    seed: int,
    on_step: StepHook | None,
    draw_given: DrawGiven | None = None,
) -> TrainResult:
    """Train a new network, or go on from the checkpoint if there is one.

    Of several processes, the first one reads and writes the checkpoint, shows the progress and
    calls the hook.

    Parameters
    ----------
    make_network : callable
        Returns the untrained network.
    training, held_out : pair of Tensor
        Values and observed, of shape (row, *event).
    parameters : dict
        Parameters of the estimator.
    seed : int
        Seed of weights, batches and noise.
    on_step : callable, optional
        The caller's hook.
    draw_given : callable, optional
        As of ``train``.

    Returns
    -------
    result : TrainResult
        Denoiser and history.
    """
    settings = {name: value for name, value in parameters.items() if name not in ASIDE}
    run = fingerprint(training[0], {**settings, "seed": seed})
    require_same(run)
    first = rank() == 0
    path = None if parameters["checkpoint"] is None else Path(parameters["checkpoint"])
    resume = from_first(read_checkpoint(path, run) if path is not None and first else None)
    config = TrainingConfig(
        **{name: parameters[name] for name in ("max_iter", "batch_size", "learning_rate")}
    )
    # On a CPU the batches are too small to share: a second thread costs more than it brings, and
    # with one thread the weights are the same whatever the number of cores.
    shown = parameters["progress"] and first
    with torch_threads(1), progress_bar(config.max_iter, shown=shown) as advance:
        return train(
            Denoiser(_initialised(make_network, seed)),
            *training,
            held_out,
            config,
            seed,
            draw_given=draw_given,
            device=_resolve(parameters["device"]),
            resume=resume,
            on_step=chain(advance, checkpointing(path, run), on_step) if first else None,
        )


def _initialised(make_network, seed: int) -> nn.Module:
    """Network with seeded weights; torch initialises layers from its global state only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_network()


def _resolve(device: str) -> str:
    """Device to train on; ``auto`` is a GPU if there is one."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
