"""Learn from verdicts what the score alone does not tell, where that measurably helps.

Randomised trees on the log-odds of the severity and the encoded columns tell confirmed anomalies
from false alarms and from normal reference rows, as XGBOD (Zhao and Hryniewicki, 2018) adds
unsupervised scores to the features of a supervised ensemble. That normal rows, of which nobody has
judged one, are negatives beside the few judged ones is the idea of DevNet (Pang et al., 2019),
Deep SAD (Ruff et al., 2020) and of learning from positive and unlabelled rows (Elkan and Noto,
2008). What the trees say multiplies the odds of the severity: the detector's own score is the
prior, and stays in force where verdicts say nothing.

Trees: Geurts et al. (2006), "Extremely randomized trees". Chosen among these, random forests and
logistic regression, with and without components of the score and normal rows, in trials on two of
the tables and two of the seeds that `python -m benchmarks.systems.feedback` measures.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

__all__ = ["LEAST_OF_KIND", "LEAST_VERDICTS", "Examples", "Reweighting"]

# Verdicts, and verdicts of each kind, below which nothing is learned from them.
LEAST_VERDICTS, LEAST_OF_KIND = 20, 5
N_TREES, LEAST_LEAF = 100, 5
FOLDS, REPEATS = 5, 3
# Less is rounding.
LEAST_GAIN = 1e-3
# Encoded columns are cut off here, in standard deviations: further out is further out.
MOST_DEVIATIONS = 5.0
# Probabilities this near to 0 and 1 are not told apart.
LEAST_PROBABILITY = 1e-3


@dataclass(frozen=True)
class Examples:
    """Rows as the trees see them.

    Attributes
    ----------
    points : ndarray of shape (row, coord)
        ``Points.weighted``.
    severities : ndarray of shape (row,)
        From 0 to 100.
    """

    points: np.ndarray
    severities: np.ndarray

    @property
    def features(self) -> np.ndarray:
        """Log-odds of the severity, and encoded columns, of shape (row, 1 + coord)."""
        kept = np.clip(self.points, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        return np.column_stack([self.prior, kept])

    @property
    def prior(self) -> np.ndarray:
        """Log-odds of the severity, of shape (row,); severities stay below 100."""
        return np.log(
            np.maximum(self.severities, 100 * LEAST_PROBABILITY) / (100 - self.severities)
        )


@dataclass(frozen=True)
class Reweighting:
    """What was learned from verdicts.

    Attributes
    ----------
    trees : ExtraTreesClassifier or None
        None where too few verdicts are known, or cross-validation shows no gain.
    told : str
        One clause that says whether verdicts weigh, and why or why not.
    """

    trees: ExtraTreesClassifier | None
    told: str

    @classmethod
    def fit(cls, judged: Examples, anomalous: np.ndarray, normal: Examples) -> "Reweighting":
        """Learn from judged rows, and compare with the score alone by cross-validation.

        Parameters
        ----------
        judged : Examples
            Judged rows, in an order that does not depend on that of the verdicts.
        anomalous : bool ndarray of shape (row,)
            Whether each is a confirmed anomaly.
        normal : Examples
            Normal rows that nobody has judged; together they weigh as much as the judged ones.
        """
        n, least = len(anomalous), min(anomalous.sum(), (~anomalous).sum())
        if n < LEAST_VERDICTS or least < LEAST_OF_KIND:
            return cls(
                None,
                f"not learned from: {LEAST_VERDICTS} are needed, {LEAST_OF_KIND} of "
                f"each kind, and there are {n} and {least}",
            )
        features = judged.features
        found = _held_out(features, anomalous, normal.features) + judged.prior
        gains = _gains(anomalous, found, judged.prior)
        told = ", ".join(f"{name} {old:.3f} -> {new:.3f}" for name, (old, new) in gains.items())
        if not any(new > old + LEAST_GAIN for old, new in gains.values()):
            return cls(None, f"not learned from: cross-validation shows no gain ({told})")
        return cls(_trees(features, anomalous, normal.features), f"learned from ({told})")

    def priorities(self, rows: Examples) -> np.ndarray:
        """Severities from 0 to 100 with what verdicts say, of shape (row,)."""
        if self.trees is None or not len(rows.severities):
            return rows.severities
        odds = rows.prior + _log_odds(self.trees.predict_proba(rows.features)[:, 1])
        return 100 / (1 + np.exp(-odds))


def _log_odds(shares: np.ndarray) -> np.ndarray:
    """Logarithm of the odds of shares, those of 0 and 1 finite."""
    kept = np.clip(shares, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.log(kept / (1 - kept))


def _trees(features: np.ndarray, anomalous: np.ndarray, normal: np.ndarray) -> ExtraTreesClassifier:
    """Trees on judged rows and normal ones, each kind of half the weight."""
    rows = np.concatenate([features, normal])
    labels = np.concatenate([anomalous, np.zeros(len(normal), dtype=bool)])
    share = len(features) / max(1, len(normal))
    weights = np.concatenate([np.ones(len(features)), np.full(len(normal), share)])
    trees = ExtraTreesClassifier(N_TREES, min_samples_leaf=LEAST_LEAF, random_state=0)
    return trees.fit(rows, labels, sample_weight=weights)


def _held_out(features: np.ndarray, anomalous: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Log-odds that trees give to judged rows that they have not seen, of shape (row,)."""
    found = np.zeros(len(features))
    for seed in range(REPEATS):
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        for known, asked in folds.split(features, anomalous):
            trees = _trees(features[known], anomalous[known], normal)
            found[asked] += _log_odds(trees.predict_proba(features[asked])[:, 1]) / REPEATS
    return found


def _gains(
    anomalous: np.ndarray, found: np.ndarray, prior: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Average precision and AUROC of the score alone, and with what was learned."""
    measures = {"average precision": average_precision_score, "AUROC": roc_auc_score}
    return {
        name: (float(measure(anomalous, prior)), float(measure(anomalous, found)))
        for name, measure in measures.items()
    }
