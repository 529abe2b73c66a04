"""Fitting the denoiser: one loop with weight averaging, early stop and exact resume."""

import copy
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from anomdiff.diffusion.denoiser import Denoiser, denoising_loss
from anomdiff.diffusion.distributed import average_gradients, own_rows, weighted_means

__all__ = ["TrainResult", "TrainingConfig", "TrainingState", "train"]
from anomdiff.diffusion.noise import lognormal_levels, seeded


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how to train.

    Attributes
    ----------
    max_iter : int
        Optimiser steps at most.
    batch_size : int
        Rows per step.
    learning_rate : float
        Largest learning rate, reached after ``warmup`` steps; it then falls to zero
        along half a cosine.
    warmup : int
        Steps of linear increase.
    weight_decay : float
        Decoupled weight decay.
    average : float
        Decay per step of the moving average of the weights, which is what is kept.
    level_mean, level_std : float
        Mean and standard deviation of the logarithm of the training noise levels.
    masked_fraction : float
        Share of rows that show a random part of their groups of entries as given.
    evaluate_every : int
        Steps between two evaluations of the validation loss.
    patience : int
        Evaluations without improvement before training stops.
    """

    max_iter: int = 3000
    batch_size: int = 256
    learning_rate: float = 4e-3
    warmup: int = 100
    weight_decay: float = 1e-3
    average: float = 0.995
    level_mean: float = -1.0
    level_std: float = 1.2
    masked_fraction: float = 0.5
    evaluate_every: int = 100
    patience: int = 8


@dataclass
class TrainingState:
    """Everything that training needs to go on from here, step for step.

    Attributes
    ----------
    step : int
        Steps done.
    loss : float
        Training loss of the last step.
    validation_loss : float or None
        Validation loss, where this step measured it.
    learning_rate : float
        Learning rate of the last step.
    best_loss : float
        Lowest validation loss so far.
    stale : int
        Evaluations since ``best_loss``.
    history : list of tuple
        ``(step, loss, validation_loss, learning_rate)`` at each evaluation.
    tensors : dict of str to Tensor
        Weights (``model.``), their moving average (``average.``), the best average
        (``best.``) and the optimiser's moments (``optimizer.``); live, not copies.
    """

    step: int = 0
    loss: float = math.nan
    validation_loss: float | None = None
    learning_rate: float = 0.0
    best_loss: float = math.inf
    stale: int = 0
    history: list[tuple[int, float, float, float]] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainResult:
    """A trained denoiser in evaluation mode and the course of its training."""

    denoiser: Denoiser
    history: list[tuple[int, float, float, float]]


def train(
    denoiser: Denoiser,
    values: Float[Tensor, "row *event"],
    observed: Bool[Tensor, "row *event"],
    validation: tuple[Tensor, Tensor],
    config: TrainingConfig,
    seed: int,
    *,
    groups: Int[Tensor, "entry"] | None = None,
    device: str | torch.device = "cpu",
    resume: TrainingState | None = None,
    on_step: Callable[[TrainingState], None] | None = None,
) -> TrainResult:
    r"""Train a denoiser and return the weights with the lowest validation loss.

    Every step's randomness is a function of ``(seed, step)``, so that a resumed
    run continues exactly as if it had never stopped. Several processes (see
    ``anomdiff.diffusion.distributed``), each called with the same arguments, share the
    rows of every batch and end with the same weights.

    Parameters
    ----------
    denoiser : Denoiser
        Called as ``denoiser(noisy, sigma, given)``; trained in place.
    values : float Tensor of shape (row, \*event)
        Encoded training rows, in standard deviations.
    observed : bool Tensor of shape (row, \*event)
        False where the source cell is missing; such entries do not count.
    validation : pair of Tensor
        Values and observed of rows kept out of the gradient, for the early stop.
    config : TrainingConfig
        Lengths and rates.
    seed : int
        Seed of batches, noise levels, noise and masks.
    groups : int Tensor of shape (entry,), optional
        Number of the group of each entry of an event; entries of one group, such as those of a
        column, are given together. By default every entry is a group of its own.
    device : str or torch.device, default="cpu"
        Where to train; the result comes back to the CPU.
    resume : TrainingState, optional
        State of an earlier call with the same arguments.
    on_step : callable, optional
        Called with the live ``TrainingState`` after every step.

    Returns
    -------
    result : TrainResult
        The denoiser, in evaluation mode and on the CPU, and the history.

    References
    ----------
    Loss and noise distribution: Karras et al. (2022), eq. 8 and table 1. Random
    given entries: Tashiro et al. (2021), "CSDI", section 4.3.
    """
    denoiser = denoiser.to(device).train()
    average = copy.deepcopy(denoiser).eval().requires_grad_(False)
    best = copy.deepcopy(average)
    optimizer = _optimizer(denoiser, config)
    state = TrainingState() if resume is None else resume
    _connect(state, denoiser, average, best, optimizer)
    data = values.to(device, torch.float32), observed.to(device)
    if groups is None:
        groups = torch.arange(math.prod(values.shape[1:]))
    validation_loss = _ValidationLoss(*validation, groups, config, seed, device)

    while state.step < config.max_iter and state.stale < config.patience:
        state.learning_rate = _learning_rate(state.step, config)
        state.loss = _step(denoiser, optimizer, data, groups, config, seed, state)
        state.step += 1
        _average(average, denoiser, min(config.average, state.step / (state.step + 10)))
        state.validation_loss = None
        if state.step % config.evaluate_every == 0 or state.step == config.max_iter:
            _evaluate(state, average, best, validation_loss)
        if on_step is not None:
            on_step(state)
    return TrainResult(best.to("cpu"), state.history)


def _step(denoiser, optimizer, data, groups, config, seed, state) -> float:
    """One optimiser step on a random batch."""
    values, observed = data
    generator = _generator(seed, state.step)
    rows = torch.randint(len(values), (config.batch_size,), generator=generator)
    batch = len(rows), *values.shape[1:]
    sigma, noise, given = _corruption(batch, groups, config, generator, values.device)
    rows = own_rows(rows).to(values.device)
    clean, counted = values[rows], observed[rows]
    loss = denoising_loss(denoiser, clean, counted, sigma, noise, given & counted)

    optimizer.param_groups[0]["lr"] = state.learning_rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    loss = average_gradients(denoiser, loss, (counted & ~given).sum())
    nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def _corruption(shape, groups, config, generator, device) -> Iterator[Tensor]:
    """Noise levels, noise and given masks for this process's rows of one batch."""
    sigma = lognormal_levels(shape[0], config.level_mean, config.level_std, generator)
    noise = torch.randn(shape, generator=generator)
    # A row shows each group with its own probability: every number of given groups occurs.
    masked = torch.rand(shape[0], generator=generator) < config.masked_fraction
    share = torch.rand(shape[0], generator=generator) * masked
    given = torch.rand(shape[0], int(groups.max()) + 1, generator=generator) < share[:, None]
    given = given[:, groups].reshape(shape)
    return (own_rows(tensor).to(device) for tensor in (sigma, noise, given))


class _ValidationLoss:
    """Denoising loss on fixed rows, levels and noise: only the weights change between two calls."""

    def __init__(self, values, observed, groups, config, seed, device, n_events=4096):
        generator = _generator(seed, -1)
        rows = torch.arange(max(n_events, len(values))) % len(values)
        rows = rows[torch.randperm(len(rows), generator=generator)[:n_events]]
        batch = len(rows), *values.shape[1:]
        corruption = _corruption(batch, groups, config, generator, device)
        self.sigma, self.noise, given = corruption
        rows = own_rows(rows)
        self.values = values[rows].to(device, torch.float32)
        self.observed = observed[rows].to(device)
        self.given = given & self.observed

    @torch.inference_mode()
    def __call__(self, denoiser) -> float:
        arguments = self.values, self.observed, self.sigma, self.noise, self.given
        loss = denoising_loss(denoiser, *arguments)
        (mean,) = weighted_means([loss], (self.observed & ~self.given).sum())
        return mean.item()


def _evaluate(
    state: TrainingState, average: nn.Module, best: nn.Module, validation_loss: _ValidationLoss
) -> None:
    """Measure the averaged weights and keep them if they are the best so far."""
    state.validation_loss = validation_loss(average)
    if state.validation_loss < state.best_loss:
        state.best_loss, state.stale = state.validation_loss, 0
        best.load_state_dict(average.state_dict())
    else:
        state.stale += 1
    state.history.append((state.step, state.loss, state.validation_loss, state.learning_rate))


def _learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    rise = (step + 1) / max(config.warmup, 1)
    fall = (1 + math.cos(math.pi * step / config.max_iter)) / 2
    return config.learning_rate * min(rise, fall)


@torch.no_grad()
def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the present ones."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def _generator(*numbers: int) -> torch.Generator:
    """Return a generator that depends on the numbers alone: no state to carry along."""
    return seeded(zlib.crc32(repr(numbers).encode()))


def _optimizer(denoiser: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW with its moments already in place, so that a checkpoint can be laid over them."""
    optimizer = torch.optim.AdamW(
        denoiser.parameters(), lr=0.0, weight_decay=config.weight_decay, fused=True
    )
    for parameter in denoiser.parameters():
        optimizer.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer


@torch.no_grad()
def _connect(state: TrainingState, model, average, best, optimizer) -> None:
    """Let ``state.tensors`` be the live tensors, filled with those of a resumed state if any."""
    live: dict[str, Tensor] = {}
    for prefix, module in (("model", model), ("average", average), ("best", best)):
        live |= {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}
    for index, parameter in enumerate(model.parameters()):
        moments = optimizer.state[parameter]
        live |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    if state.tensors and state.tensors.keys() != live.keys():
        raise ValueError("need the state of a run with the same network; got another one's.")
    for name, tensor in state.tensors.items():
        live[name].copy_(tensor)
    state.tensors = live
