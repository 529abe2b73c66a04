import inspect

import numpy as np
import pandas as pd
import pytest
import torch

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.models.corruption import CORRUPTIONS, corrupted_copies
from anomdiff.models.tabular_fit import PRIORS
from anomdiff.scoring.separation import separation_weights
from anomdiff.scoring.surprisal import LARGEST_SHAPE
from tests.settings import TINY

N_ROWS = 120


def orders():
    """Rows without gaps or copies: two numbers and two categories that follow each other."""
    rng = np.random.default_rng(0)
    size, country = rng.gamma(3.0, 10.0, N_ROWS), rng.integers(4, size=N_ROWS)
    strays = np.where(rng.random(N_ROWS) < 0.1, rng.integers(4, size=N_ROWS), country)
    return pd.DataFrame(
        {
            "size": size,
            "price": 2 * size + rng.normal(0, 2, N_ROWS),
            "country": np.array(list("abcd"))[country],
            "bank": np.array(list("wxyz"))[strays],
        }
    )


def fitted(frame, **settings):
    settings = {"alpha": 0.1, "validation_fraction": 0.4, **TINY, **settings}
    return TabularDetector(**settings).fit(frame).model_


def distances(model, frame):
    """Plain distances of rows to their nearest reference rows in the first view."""
    return model.components(*model.encode(model.schema.check(frame)))[3][:, 0]


def test_without_dependent_categories_there_is_no_such_component():
    assert fitted(orders()).ensemble.cooccurrence is not None
    assert fitted(orders()[["size", "price"]]).ensemble.cooccurrence is None


def test_components_weigh_what_they_see_of_corrupted_rows():
    frame = orders()
    model = fitted(frame)
    checked, held_out = model.schema.check(frame), model.reference.exclude_self.numpy()
    training = frame.index[~held_out]

    def standardised(rows):
        return model.calibration.standardise(model.components(*model.encode(rows)))

    corrupted = [
        # Held-out rows come in the order of the split: drawn anew, weights are alike, not equal.
        standardised(
            corrupted_copies(
                checked[held_out],
                checked.loc[training],
                model.schema,
                kind,
                np.random.RandomState(1),
            )
        )
        for kind in CORRUPTIONS
    ]
    priors = [PRIORS.get(name, 1.0) for name in model.ensemble.names]
    again = separation_weights(standardised(checked[held_out]), corrupted, priors)

    assert model.calibration.weights == pytest.approx(again, abs=0.04)
    assert np.corrcoef(model.calibration.weights, again)[0, 1] > 0.8


def levels_of(model):
    return torch.cat([each.levels for each in model.ensemble.reconstructions])


def test_noise_levels_are_the_geometric_ones_of_the_parameters():
    model = fitted(orders(), n_levels=3, n_draws=4, sigma_min=0.02, sigma_max=0.5)

    assert levels_of(model).tolist() == pytest.approx([0.02, 0.1, 0.5])
    assert [len(each.noise[0]) for each in model.ensemble.reconstructions] == [4, 1]


def test_noise_moves_every_entry_alike_and_differs_by_level():
    noise = fitted(orders(), n_draws=20).ensemble.reconstructions[0].noise

    torch.testing.assert_close(noise[:, 10:], -noise[:, :10], rtol=0, atol=0)
    assert (noise.abs() == 1).all()
    assert (noise[0] != noise[1]).double().mean().item() == pytest.approx(0.5, abs=0.15)


def test_held_out_rows_are_not_compared_with_themselves_and_training_rows_are():
    model = fitted(orders())

    away = distances(model, orders())

    held_out = model.reference.exclude_self
    assert model.n_validation_rows == held_out.sum() == round(0.4 * N_ROWS)
    assert (away[held_out] > 0).all()
    assert (away[~held_out] == 0).all()


def test_where_rows_are_screened_none_is_compared_with_itself():
    detector = TabularDetector(**TINY, alpha=0.1)

    detector.screen(orders())

    assert detector.model_.reference.exclude_self.all()
    assert (distances(detector.model_, orders()) > 0).all()


@pytest.mark.parametrize(
    ("method", "settings", "share"),
    [("fit", {}, 1), ("fit", {"trim_fraction": 0.2}, 0.8), ("screen", {}, 0.7)],
)
def test_the_least_central_rows_are_no_reference_rows(method, settings, share):
    detector = TabularDetector(**TINY, alpha=0.1, **settings)

    getattr(detector, method)(orders())

    assert len(detector.model_.reference.values) == round(share * N_ROWS)


@pytest.mark.parametrize(
    ("alpha", "fraction", "n_held_out"), [(0.1, 0.2, 24), (0.04, 0.1, 24), (0.025, 0.1, 39)]
)
def test_as_many_rows_are_held_out_as_the_threshold_needs(alpha, fraction, n_held_out):
    detector = TabularDetector(**TINY, alpha=alpha, validation_fraction=fraction)

    model = detector.fit(orders()).model_

    assert model.n_validation_rows == len(model.calibration_scores) == n_held_out
    assert model.n_training_rows == N_ROWS - n_held_out
    assert np.isfinite(detector.threshold_)


@pytest.mark.filterwarnings("ignore:alpha")
def test_no_more_than_two_fifths_are_held_out_for_the_threshold_nor_more_than_allowed():
    assert fitted(orders(), alpha=0.01, validation_fraction=0.1).n_validation_rows == 48
    assert fitted(orders(), max_validation=10).n_validation_rows == 10


def test_p_values_of_screened_rows_are_their_ranks_and_alpha_of_them_are_flagged():
    scored = TabularDetector(**TINY, alpha=0.1).screen(orders())

    scores = scored["anomaly_score"].to_numpy()
    np.testing.assert_allclose(scored["p_value"], [(scores >= s).mean() for s in scores])
    np.testing.assert_array_equal(scored["is_anomaly"], scored["p_value"] <= 0.1)
    assert scored["is_anomaly"].sum() == 12


def test_held_out_rows_change_nothing_that_is_learned_from_the_others():
    frame, changed = orders(), orders()
    before = fitted(frame)
    held_out = before.reference.exclude_self.numpy()
    changed.loc[held_out, ["size", "price"]] *= [3, -1]
    changed.loc[held_out, "bank"] = changed.loc[held_out, "bank"].to_numpy()[::-1]

    after = fitted(changed)

    assert after.encoder.to_dict() == before.encoder.to_dict()
    for name, weights in before.denoiser.state_dict().items():
        assert torch.equal(after.denoiser.state_dict()[name], weights)
    assert torch.equal(after.ensemble.cooccurrence.pairs, before.ensemble.cooccurrence.pairs)
    known = [each.calibration.surprisals[0].held_out for each in (after, before)]
    assert not torch.equal(*known)


def test_every_row_held_out_calibrates_and_its_scores_are_kept_in_order():
    frame = orders()
    model = fitted(frame)
    held_out = model.reference.exclude_self.numpy()

    components = model.components(*model.encode(model.schema.check(frame[held_out])))

    numbers = model.calibration
    for errors, read, mean in zip(components, numbers.surprisals, numbers.level_mean, strict=True):
        torch.testing.assert_close(read.held_out, errors.sort(0).values, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(mean, read(errors).mean(0), rtol=1e-2, atol=1e-2)
    scores = model.calibration.score(components).sort().values
    np.testing.assert_allclose(model.calibration_scores, scores, atol=1e-4)


def test_where_categories_hardly_ever_disagree_one_disagreement_is_not_many():
    model = fitted(orders())

    assert model.calibration.surprisals[-1].scale.item() >= 1 - LARGEST_SHAPE


@pytest.mark.parametrize("kind", [TabularDetector, TimeSeriesDetector])
def test_one_normal_row_of_a_hundred_raises_an_alarm_unless_told_otherwise(kind):
    assert kind().alpha == 0.01
    assert inspect.signature(kind).parameters["alpha"].default == 0.01


@pytest.mark.filterwarnings("ignore:alpha")
@pytest.mark.parametrize("n", [4, 5, 8])
def test_few_rows_of_which_no_held_out_one_is_central_are_fitted_too(n):
    for seed in range(4):
        detector = TabularDetector(**{**TINY, "random_state": seed, "max_iter": 2})

        scored = detector.screen(orders()[:n])

        assert np.isfinite(scored["anomaly_score"]).all()


def test_new_rows_like_most_held_out_ones_are_never_unusual():
    rng = np.random.RandomState(0)
    rare = pd.DataFrame({"failed": np.arange(200) % 25 == 0, "kind": ["a"] * 190 + ["b"] * 10})
    detector = TabularDetector(**{**TINY, "alpha": 0.1, "random_state": 1})

    scored = detector.fit(rare.sample(frac=1, random_state=rng)).score_frame(rare)

    usual = ~rare["failed"] & (rare["kind"] == "a")
    assert scored.loc[usual, "p_value"].min() > 0.8
