"""What every diffusion detector does: fit, score, explain; data kinds fill in a few hooks."""

from abc import abstractmethod

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from anomdiff.detectors.fitting import fit_denoiser
from anomdiff.detectors.parallel import map_blocks
from anomdiff.detectors.parameters import check_parameters
from anomdiff.detectors.parts import relate, remember, split_rows
from anomdiff.detectors.trimming import central_rows
from anomdiff.diffusion.noise import geometric_levels, noise_bank
from anomdiff.scoring.attribution import contributions, expected_parts
from anomdiff.scoring.calibration import (
    MIN_SPREAD,
    ScoreCalibration,
    conformal_p_values,
    conformal_threshold,
    needed_rows,
)
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.scoring.memory import Memory

# Rows scored at once: bounds memory without slowing the matrix products.
SCORED_AT_ONCE = 2048
# Share of the rows left out where there is no clean training data.
SUSPECTED = 0.3
# Noise level, in standard deviations, at which a redrawn column says nothing of itself.
REDRAWN = 4.0


class DiffusionDetector(OutlierMixin, BaseEstimator):
    """Base of the detectors; see ``TabularDetector`` for the parameters."""

    def fit(self, X, y=None, *, on_step=None):
        """Learn normal data, then set the alarm threshold on rows held out of training.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Mostly normal rows.
        y : None
            Ignored; present because scikit-learn passes it.
        on_step : callable, optional
            Called with the ``TrainingState`` after every training step.

        Returns
        -------
        self : DiffusionDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used; the message names the column.
        """
        check_parameters(self.get_params(deep=False))
        self._fit(self._check(X, reset=True), self.trim_fraction, on_step)
        return self

    def screen(self, X, y=None, *, on_step=None):
        """Fit to rows that hold anomalies, and find these: there is no clean training data.

        Only the most central rows are learned and remembered (70 % of them, or what
        ``trim_fraction`` leaves), no row vouches for itself, and a p-value is a row's rank among
        all rows. The detector is then ready for new rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to fit and to judge.
        y : None
            Ignored; present because scikit-learn passes it.
        on_step : callable, optional
            Called with the ``TrainingState`` after every training step.

        Returns
        -------
        scored : DataFrame
            As from ``score_frame``. At most ``alpha`` of the rows are flagged.

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used; the message names the column.
        """
        check_parameters(self.get_params(deep=False))
        frame = self._check(X, reset=True)
        self._fit(frame, self.trim_fraction or SUSPECTED, on_step, shy=np.arange(len(frame)))
        scores = self._anomaly_scores(frame)
        p_values = rankdata(-scores, method="max") / len(scores)
        columns = {
            "anomaly_score": scores,
            "p_value": p_values,
            "is_anomaly": p_values <= self.alpha,
        }
        return pd.DataFrame(columns, index=frame.index)

    def score_samples(self, X):
        """Score rows the way scikit-learn does: larger is more normal.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score.

        Returns
        -------
        scores : ndarray of shape (row,)
            Minus the anomaly score.
        """
        check_is_fitted(self)
        return -self._anomaly_scores(self._check(X, reset=False))

    def decision_function(self, X):
        """Score rows relative to the threshold: negative is an anomaly.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score.

        Returns
        -------
        decisions : ndarray of shape (row,)
            ``score_samples(X) - offset_``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Tell anomalies from normal rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to judge.

        Returns
        -------
        labels : ndarray of shape (row,)
            -1 for anomalies, 1 for normal rows.
        """
        return np.where(-self.score_samples(X) > self.threshold_, -1, 1)

    def score_frame(self, X):
        """Score rows and say which are anomalies; columns are found by name.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score. Further columns are ignored with a warning.

        Returns
        -------
        scored : DataFrame
            Index of ``X``; columns ``anomaly_score`` (larger is more anomalous),
            ``p_value`` (in (0, 1]) and ``is_anomaly`` (``p_value <= alpha``).

        Raises
        ------
        ValueError
            If a column is missing or holds something that cannot be read.
        """
        check_is_fitted(self)
        frame = self._check(X, reset=False, by_name=True)
        scores = self._anomaly_scores(frame)
        columns = {
            "anomaly_score": scores,
            "p_value": conformal_p_values(self.calibration_scores_, scores),
            "is_anomaly": scores > self.threshold_,
        }
        return pd.DataFrame(columns, index=frame.index)

    def explain(self, X, *, top=None):
        """Name the columns to blame for each row's score.

        A column's contribution is how far the score falls when its value is replaced
        by what the other columns let one expect.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to explain; best the few with the highest scores, because each costs
            one scoring per column.
        top : int, optional
            Columns per row, the largest contributions first; all by default.

        Returns
        -------
        reasons : DataFrame
            Columns ``row`` (label in the index of ``X``), ``column``, ``value``,
            ``expected`` and ``contribution`` (in units of the score).
        """
        check_is_fitted(self)
        frame = self._check(X, reset=False, by_name=True)
        values, observed = self._encode(frame)
        expected = self._expected(values, observed)
        shares = contributions(self._score_encoded, values, observed, expected)
        return self._reasons(frame, expected.numpy(), shares.numpy(), top)

    # -- hooks ---------------------------------------------------------------------------

    @abstractmethod
    def _check(self, X, *, reset, by_name=False) -> pd.DataFrame:
        """Turn the input into a clean frame, or say in one sentence what is wrong."""

    @abstractmethod
    def _make_encoder(self, frame):
        """Return an encoder fitted on the training rows."""

    @abstractmethod
    def _make_network(self, event_shape):
        """Return an untrained raw network."""

    @abstractmethod
    def _reasons(self, frame, expected, shares, top) -> pd.DataFrame:
        """Lay out contributions and expected values as a long frame."""

    # -- fitting -------------------------------------------------------------------------

    def _fit(self, frame, trim_fraction, on_step, shy=None):
        """Fit to a checked frame, whose ``shy`` rows (held-out ones) vouch for no copy."""
        rng = check_random_state(self.random_state)
        self.seed_ = int(rng.randint(2**31 - 1))
        training, held_out = split_rows(
            len(frame),
            self.held_out_fraction,
            needed_rows(self.alpha),
            self.max_held_out,
            rng,
        )
        self.n_training_rows_, self.n_held_out_rows_ = len(training), len(held_out)
        self.encoder_ = self._make_encoder(frame.iloc[training])
        values, observed = self._encode(frame)
        trusted = self._trusted(values, trim_fraction)
        training, typical = training[trusted[training]], held_out[trusted[held_out]]

        self._train(values, observed, training, typical, on_step)
        self.noise_ = noise_bank(self.n_levels, self.n_draws, self._event_shape(), self.seed_)
        self.memory_ = remember(
            values * self._factors(),
            np.flatnonzero(trusted),
            held_out if shy is None else shy,
            self.max_memory,
            self._views(),
            rng,
        )
        codes = self._codes(values, observed)
        self.dependence_, weight = relate(
            codes[training],
            codes[typical],
            self.encoder_.category_sizes(),
            self.encoder_.category_share(),
            self.seed_,
        )
        self._make_ensemble()
        held = values[held_out], observed[held_out]
        self._calibrate(_joined(self._map_rows(self._misses, *held)), trusted[held_out], weight)

    def _trusted(self, values, trim_fraction) -> np.ndarray:
        """Tell the rows to learn from; all of them, if the data are said to be clean."""
        if not trim_fraction:
            return np.ones(len(values), dtype=bool)
        views = [(values * self._factors())[:, view] for view in self._views()]
        generator = torch.Generator().manual_seed(self.seed_)
        return central_rows(views, 1 - trim_fraction, generator).numpy()

    def _train(self, values, observed, training, held_out, on_step):
        """Train the network on its view and keep the course of the training."""
        view = self._views()[0]
        result = fit_denoiser(
            lambda: self._make_network(self._event_shape()),
            *((values[rows][:, view], observed[rows][:, view]) for rows in (training, held_out)),
            self.get_params(deep=False),
            self.seed_,
            on_step,
        )
        self.denoiser_ = result.denoiser.requires_grad_(False)
        columns = ["step", "loss", "held_out_loss", "learning_rate"]
        self.history_ = pd.DataFrame(result.history, columns=columns)

    def _make_ensemble(self):
        """Set up the ways to look at a row."""
        views = self._views()
        levels = geometric_levels(self.n_levels, self.sigma_min, self.sigma_max)
        memory = [
            Memory(self.memory_["rows"][:, view], scales, self.memory_["shy"])
            for view, scales in zip(views, self.memory_["scales"], strict=True)
        ]
        self.ensemble_ = Ensemble.build(
            self.denoiser_, memory, views, self._factors(), levels, self.noise_
        )

    def _calibrate(self, misses, trusted, weight):
        """Learn what normal misses look like, then the scores and the threshold.

        Held-out rows are remembered but do not vouch for themselves: a new row has one row more
        to be near to, so that p-values err on the safe side. So they do where anomalies are
        among the held-out rows, which count here even if they are not trusted.
        """
        weights, least = None, None
        if self.dependence_ is not None:
            rest = len(misses) - 1
            weights = [(1 - weight) / rest] * rest + [weight]
            least = [MIN_SPREAD] * rest + [1.0]
        typical = [voice[trusted] for voice in misses]
        self.calibration_ = ScoreCalibration.fit(typical, weights, least)
        self.calibration_scores_ = np.sort(self.calibration_.score(misses).numpy())
        self._set_threshold()

    def _set_threshold(self):
        """Derive the threshold from the calibration scores and ``alpha``."""
        self.threshold_ = conformal_threshold(self.calibration_scores_, self.alpha)
        self.offset_ = -self.threshold_

    # -- scoring -------------------------------------------------------------------------

    def _encode(self, frame) -> tuple[Tensor, Tensor]:
        """Encode a checked frame to float64 values and the observed mask."""
        values, observed = self.encoder_.encode(frame)
        return torch.from_numpy(values), torch.from_numpy(observed)

    def _anomaly_scores(self, frame) -> np.ndarray:
        """Score a checked frame block by block; larger is more anomalous."""
        starts = range(0, len(frame), SCORED_AT_ONCE)
        blocks = [frame.iloc[start : start + SCORED_AT_ONCE] for start in starts]
        scored = map_blocks(lambda block: self._score_encoded(*self._encode(block)), blocks)
        return torch.cat(scored).numpy()

    def _map_rows(self, function, *tensors) -> list:
        """Apply a function to encoded rows, block by block."""
        blocks = list(zip(*(each.split(SCORED_AT_ONCE) for each in tensors), strict=True))
        return map_blocks(lambda block: function(*block), blocks)

    def _score_encoded(self, values, observed) -> Tensor:
        """Score encoded rows."""
        return self.calibration_.score(self._misses(values, observed))

    def _misses(self, values, observed) -> list[Tensor]:
        """Misses of encoded rows, one tensor per voice."""
        share = self._observed_share(observed)
        misses = self.ensemble_.misses(values, observed, share)
        if self.dependence_ is not None:
            misses.append(self.dependence_.misses(self._codes(values, observed)))
        return misses

    def _codes(self, values, observed) -> Tensor:
        """Codes of the categories of encoded rows."""
        return torch.from_numpy(self.encoder_.category_codes(values.numpy(), observed.numpy()))

    def _observed_share(self, observed) -> Tensor:
        """Share of each row's columns that is observed; at least one column's worth."""
        seen, whole = (
            self.encoder_.fold(mask.double().numpy()) for mask in (observed, observed[:1] | True)
        )
        return torch.from_numpy((seen / whole).mean(1)).clamp(min=1 / seen.shape[1])

    def _views(self) -> Tensor:
        """Entries of each view, of shape (view, *event); the network works on the first."""
        return torch.from_numpy(self.encoder_.views())

    def _factors(self) -> Tensor:
        """What entries are multiplied by where rows are compared, of shape (*event)."""
        return torch.from_numpy(self.encoder_.rarity())

    def _event_shape(self) -> tuple[int, ...]:
        """Shape of the events that the network sees."""
        return (int(self._views()[0].sum()),)

    def _expected(self, values, observed) -> Tensor:
        """Each row once per column, that column redrawn; of shape (column, row, *event)."""
        view = self._views()[0]
        parts = torch.from_numpy(np.stack([self.encoder_.part(c) for c in self.columns_]))
        arguments = values[:, view], observed[:, view], parts[:, view]
        copies = values.repeat(len(parts), *[1] * values.ndim)
        copies[:, :, view] = expected_parts(self.denoiser_, *arguments, REDRAWN)
        return torch.from_numpy(np.stack([self.encoder_.complete(c.numpy()) for c in copies]))


def _joined(blocks: list[list[Tensor]]) -> list[Tensor]:
    """Blocks of rows put together, for every voice."""
    return [torch.cat(voice) for voice in zip(*blocks, strict=True)]
