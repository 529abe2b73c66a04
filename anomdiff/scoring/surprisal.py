"""How surprising an error is among those of held-out normal rows."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Surprisal"]

# Share of the held-out rows whose errors count as large: beyond them the tail is modelled.
LARGE_SHARE = 0.1
# Shapes of the tail: from exponential to one without variance. Few excesses pull it to the former,
# as if so many more had said so.
LARGEST_SHAPE, PRIOR_EXCESSES = 0.5, 10
# Surprisals beyond this count by their logarithm: a component whose held-out errors are all alike
# must not decide alone, and what is further out still scores more.
LOUD = 200.0
# Errors that differ by less, relative to themselves or 1, count as equally large: the network works
# in single precision, and how it rounds depends on the rows that are scored together.
SAME_ERROR = 1e-6


@dataclass(frozen=True)
class Surprisal:
    r"""Minus the logarithm of the share of normal rows with errors as large.

    That is the empirical share :math:`(1 + \#\{e_i \ge e\}) / (n + 1)` up to the largest tenth of
    the held-out errors, and beyond their threshold :math:`q` a generalised Pareto tail,

    .. math:: -\ln p(e) = -\ln 0.1 + \frac{1}{\xi} \ln\Big(1 + \xi \, \frac{e - q}{\beta}\Big).

    Attributes
    ----------
    held_out : float Tensor of shape (held, level)
        Errors of held-out rows, ascending.
    shape, scale : float Tensor of shape (level,)
        Shape :math:`\xi`, from 0 to 0.5, and scale :math:`\beta` of the tail.

    References
    ----------
    Conformal p-values: Vovk et al. (2005), "Algorithmic Learning in a Random World", section 2.2.
    Tails: Pickands (1975), "Statistical Inference Using Extreme Order Statistics".
    """

    held_out: Tensor
    shape: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, errors: Float[Tensor, "held level"], least_tail: float) -> "Surprisal":
        """Learn the errors of held-out rows; the mean excess is at least ``least_tail``."""
        held_out = errors.sort(0).values
        excesses = [e[e >= e[_last(e)]] - e[_last(e)] for e in held_out.T]
        tails = torch.tensor([_tail(each, least_tail) for each in excesses]).to(errors)
        return cls(held_out, tails[:, 0], tails[:, 1])

    def __call__(self, errors: Float[Tensor, "row level"]) -> Float[Tensor, "row level"]:
        """Surprisals of errors, in nats, at least 0; they rise with the errors."""
        n, last = len(self.held_out), _last(self.held_out)
        below = torch.searchsorted(self._upper, errors.T.contiguous()).T.to(errors)
        empirical = -((n - below + 1.0) / (n + 1)).log()
        away = (errors - self.held_out[last]).clamp(min=0) / self.scale
        heavy = (self.shape * away).log1p() / self.shape
        tail = -math.log(LARGE_SHARE) + torch.where(self.shape > 0, heavy, away)
        surprising = torch.where(errors > self._upper[:, last], tail, empirical)
        return torch.where(surprising > LOUD, LOUD + (surprising - LOUD).log1p(), surprising)

    @cached_property
    def _upper(self) -> Tensor:
        """What counts as equal to each held-out error, at most; (level, held)."""
        upper = self.held_out + SAME_ERROR * self.held_out.abs().clamp(min=1)
        return upper.T.contiguous()

    def to_dict(self) -> dict[str, Tensor]:
        """Return the attributes."""
        return {"held_out": self.held_out, "shape": self.shape, "scale": self.scale}


def _last(held_out: Tensor) -> int:
    """Place of the largest error that is not among the large ones."""
    return int((1 - LARGE_SHARE) * (len(held_out) - 1))


def _tail(excesses: Float[Tensor, "row"], least_mean: float) -> tuple[float, float]:
    r"""Shape and scale of a generalised Pareto distribution by probability-weighted moments.

    With :math:`a_0` the mean and :math:`a_1` the mean of :math:`(1 - F(x))\,x`,
    :math:`\xi = 2 - a_0 / (a_0 - 2 a_1)` and :math:`\beta = a_0 (1 - \xi)`; the scale is fitted
    anew to the mean where the shape is pulled to 0 or cut.

    References
    ----------
    Hosking and Wallis (1987), "Parameter and Quantile Estimation for the Generalized Pareto
    Distribution", section 3.
    """
    n, mean = len(excesses), excesses.mean().item()
    if mean <= least_mean or n < 2:
        return 0.0, max(mean, least_mean)
    above = (n - 1 - torch.arange(n)) / (n - 1)
    spread = mean - 2 * (above * excesses).mean().item()
    shape = (2 - mean / spread if spread > 0 else 0.0) * n / (n + PRIOR_EXCESSES)
    shape = min(max(shape, 0.0), LARGEST_SHAPE)
    return shape, mean * (1 - shape)
