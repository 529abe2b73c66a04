"""How surprising an error is among those of held-out normal rows."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["surprisals"]

# Share of the held-out rows whose errors count as large: beyond them the tail is exponential.
TAIL = 0.1
# Surprisals beyond this count by their logarithm: a component whose held-out errors are all alike
# must not decide alone, and what is further out still scores more.
LOUD = 200.0
# Errors that differ by less, relative to themselves or 1, count as equally large: the network works
# in single precision, and how it rounds depends on the rows that are scored together.
ROUNDING = 1e-6


def surprisals(
    errors: Float[Tensor, "row level"],
    held_out: Float[Tensor, "held level"],
    least_tail: float,
) -> Float[Tensor, "row level"]:
    r"""Minus the logarithm of the share of normal rows with errors as large.

    That is the empirical share :math:`(1 + \#\{e_i \ge e\}) / (n + 1)` up to the largest tenth of
    the held-out errors, and beyond their threshold :math:`q` an exponential tail,

    .. math:: -\ln p(e) = -\ln 0.1 + (e - q) / \bar x,

    where :math:`\bar x` is the mean excess of the largest tenth.

    Parameters
    ----------
    errors : float Tensor of shape (row, level)
        Errors of a component; larger is more anomalous.
    held_out : float Tensor of shape (held, level)
        Errors of held-out rows, ascending.
    least_tail : float
        The mean excess is no less than this.

    Returns
    -------
    surprisals : float Tensor of shape (row, level)
        In nats, at least 0; they rise with the errors.

    References
    ----------
    Conformal p-values: Vovk et al. (2005), "Algorithmic Learning in a Random World", section 2.2.
    Exponential excesses: Pickands (1975), "Statistical Inference Using Extreme Order Statistics".
    """
    n = len(held_out)
    upper = held_out + ROUNDING * held_out.abs().clamp(min=1)
    below = torch.searchsorted(upper.T.contiguous(), errors.T.contiguous()).T
    empirical = -((n - below + 1.0) / (n + 1)).log()
    last = int((1 - TAIL) * (n - 1))
    threshold = held_out[last]
    excess = torch.where(held_out >= threshold, held_out - threshold, torch.nan)
    mean_excess = excess.nanmean(0).clamp(min=least_tail)
    tail = -math.log(TAIL) + (errors - threshold) / mean_excess
    surprising = torch.where(errors > upper[last], tail, empirical)
    return torch.where(surprising > LOUD, LOUD + (surprising - LOUD).log1p(), surprising)
