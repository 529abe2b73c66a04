from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.noise import geometric_levels
from anomdiff.models.encoded_rows import missing_columns
from anomdiff.models.tabular_fit import MAXIMUM_SHARE, PRIORS
from anomdiff.models.tabular_model import TabularModel
from anomdiff.models.training_rows import category_codes
from anomdiff.reference.reference_set import ReferenceSet, local_scales
from anomdiff.reference.subset_search import SubsetSearch
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.scoring.separation import LEAST_WEIGHT, MOST_WEIGHT
from tests.models.stored import stored_model, stored_rows
from tests.oracles import Zero

TABLES = pytest.mark.parametrize("kind", ["table", "numbers"])
# Rows with and without gaps, among those of the table copies of reference rows.
SOME = {
    "table": [66, 71, 73, 77, 81, 84, 88, 92, 101, 117, 122],
    "numbers": [*range(2), 4, 10, *range(40, 45)],
}


def naive_share(model, observed):
    """Share of each row that is observed: every column counts alike, and one at least."""
    shares = [
        sum(row[own].double().mean().item() for own in model.column_masks) / len(model.columns)
        for row in observed
    ]
    return torch.tensor(shares, dtype=torch.float64).clamp(min=1 / len(model.columns))


@TABLES
def test_the_score_is_mean_and_maximum_of_the_weighted_standardised_components(kind):
    model, rows = stored_model(kind), stored_rows(kind)
    components, numbers = model.components(*rows), model.calibration
    missing = missing_columns(rows[1], model.column_masks)
    further = model.missing_cells.adjusted(torch.zeros(len(missing)), missing)

    scores = model.score(*rows) - further

    assert (further > 0).any() or not missing.any()
    surprising = [read(errors) for read, errors in zip(numbers.surprisals, components, strict=True)]
    for row, score in enumerate(scores.tolist()):
        weighted = []
        for i, errors in enumerate(surprising):
            levels = zip(errors[row], numbers.level_mean[i], numbers.level_std[i], strict=True)
            standard = [((error - mean) / std).item() for error, mean, std in levels]
            mean = sum(standard) / len(standard)
            weighted.append(numbers.weights[i] * mean / numbers.component_std[i])
        share, largest = numbers.maximum_share, len(weighted) * max(weighted)
        naive = (1 - share) * sum(weighted) + share * largest
        assert score == pytest.approx(naive, abs=1e-9)


@pytest.mark.parametrize(("kind", "n_components"), [("table", 11), ("numbers", 10)])
def test_no_component_can_be_left_out(kind, n_components):
    model, rows = stored_model(kind), stored_rows(kind)
    scores, standard = model.score(*rows), model.calibration.standardise(model.components(*rows))

    assert len(standard) == n_components
    assert model.calibration.maximum_share == MAXIMUM_SHARE
    for left_out in range(n_components):
        weights = [w * (i != left_out) for i, w in enumerate(model.calibration.weights)]
        rest = replace(model.calibration, weights=weights).combine(standard)
        assert ((rest - scores).abs() > 1e-3).double().mean() > 0.5


@TABLES
def test_the_first_components_are_the_errors_of_the_network_at_low_middle_and_high_noise(kind):
    model, (values, observed) = stored_model(kind), stored_rows(kind, SOME[kind])
    share = naive_share(model, observed)
    assert model.network_view.all()

    found = model.components(values, observed)[:3]

    for errors, component in zip(found, model.ensemble.reconstructions, strict=True):
        naive = component.errors(model.denoiser, values, observed, share)
        torch.testing.assert_close(errors, naive)
    levels = torch.cat([component.levels for component in model.ensemble.reconstructions])
    torch.testing.assert_close(levels, geometric_levels(5, 0.05, 4.0))


@TABLES
def test_the_distances_are_those_to_the_nearest_reference_row_in_each_view(kind):
    model, (values, observed) = stored_model(kind), stored_rows(kind, SOME[kind])
    reference, weights = model.reference, model.distance_weights
    views = torch.from_numpy(model.encoder.views())

    found = model.components(values, observed)[3:7]

    pairs = [torch.cat(found[i : i + 2], dim=1) for i in (0, 2)]
    for distances, view, scales in zip(pairs, views, reference.local_scales, strict=True):
        naive = []
        for row, seen in zip(values, observed, strict=True):
            residual = torch.where(seen & view, (reference.values - row) * weights, 0.0)
            away = residual.square().sum(1).sqrt()
            if away.min() < 1e-9 and reference.exclude_self[away.argmin()]:
                away[away.argmin()] = torch.inf
            naive.append([away.min(), (away / scales).min()])
        share = naive_share(model, observed)[:, None]
        torch.testing.assert_close(distances, torch.tensor(naive).double() / share.sqrt())
    assert kind == "numbers" or (found[0][:, 0] == 0).any()  # copies of training rows


def test_the_last_component_is_the_cooccurrence_of_the_categories():
    model, rows = stored_model("table"), stored_rows("table")

    found = model.components(*rows)[-1]

    codes = category_codes(model.encoder, *rows)
    assert codes.shape == (200, 4)
    torch.testing.assert_close(found, model.ensemble.cooccurrence.errors(codes))
    assert (found > 0).any()


@TABLES
def test_subsets_are_compared_as_reference_rows_are(kind):
    model, (values, observed) = stored_model(kind), stored_rows(kind, SOME[kind])
    whole = naive_share(model, observed).sqrt()[:, None]
    rows = model.reference.values * model.distance_weights

    found = model.components(values, observed)[7:10]

    for errors, search in zip(found, model.ensemble.subset_searches, strict=True):
        naive = SubsetSearch.build(search.subsets, rows, model.reference.exclude_self)
        weighted = values * model.distance_weights
        torch.testing.assert_close(errors, naive.errors(weighted, observed, whole))


@TABLES
def test_a_row_with_missing_cells_scores_like_its_observed_part_rescaled(kind):
    model, (values, observed) = stored_model(kind), stored_rows(kind)
    share, codes = naive_share(model, observed), category_codes(model.encoder, values, observed)
    assert share.min() < share.max() == 1

    found = model.components(values, observed)

    parts = model.ensemble.components(values, observed, torch.ones_like(share), codes)
    factors = [share, share, share.sqrt(), *[share.sqrt()] * 4]
    for one, other, factor in zip(found, parts, factors, strict=False):
        torch.testing.assert_close(one, other / factor[:, None])


def changed_network(component, **changes):
    def change(model):
        network = list(model.ensemble.reconstructions)
        old = network[component]
        new = {name: make(getattr(old, name).clone()) for name, make in changes.items()}
        network[component] = replace(old, **new)
        return {"reconstructions": network}

    return change


def shifted(level, draw):
    def make(noise):
        noise[level, draw] += 1.0
        return noise

    return make


def raised(level):
    def make(levels):
        levels[level] *= 1.1
        return levels

    return make


def changed_subsets(which):
    def change(model):
        searches = list(model.ensemble.subset_searches)
        subsets = searches[which].subsets
        subsets = replace(subsets, means=2 * subsets.means)
        searches[which] = replace(searches[which], subsets=subsets)
        return {"subset_searches": searches}

    return change


def changed_search(view, **changes):
    def change(model):
        searches = list(model.ensemble.searches)
        old = searches[view]
        new = {name: make(getattr(old, name)) for name, make in changes.items()}
        searches[view] = replace(old, **new)
        return {"searches": searches}

    return change


def unrelated_categories(model):
    old = model.ensemble.cooccurrence
    return {"cooccurrence": replace(old, pairs=torch.zeros_like(old.pairs))}


CHANGES = {
    "network": lambda model: {"denoiser": Denoiser(Zero()).eval()},
    **{
        f"level {level} of component {c}": changed_network(c, levels=raised(level))
        for c, level in [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]
    },
    **{
        f"draw {at} of component {c}": changed_network(c, noise=shifted(*at))
        for c, at in [(0, (0, 0)), (0, (1, 3)), (1, (0, 0)), (2, (0, 1)), (2, (1, 2))]
    },
    **{f"subsets {which}": changed_subsets(which) for which in range(3)},
    **{f"rows of view {v}": changed_search(v, rows=lambda x: x + 0.3) for v in (0, 1)},
    **{f"scales of view {v}": changed_search(v, scales=lambda x: 2 * x) for v in (0, 1)},
    "weights of categories": lambda m: {"distance_weights": m.distance_weights * 2},
    "cooccurrence": unrelated_categories,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_part_of_every_component_changes_the_score(change):
    model, rows = stored_model("table"), stored_rows("table")
    other = replace(model, ensemble=replace(model.ensemble, **change(model)))

    differences = (other.score(*rows) - model.score(*rows)).abs()

    assert (differences > 1e-4).double().mean() > 0.3


@TABLES
def test_weights_of_stored_models_add_up_to_one_and_differ_within_their_bounds(kind):
    weights = stored_model(kind).calibration.weights

    assert sum(weights) == pytest.approx(1)
    assert 1 < max(weights) / min(weights) <= MOST_WEIGHT / LEAST_WEIGHT / min(PRIORS.values())


@TABLES
def test_the_noise_of_stored_models_is_antithetic(kind):
    for component in stored_model(kind).ensemble.reconstructions:
        noise = component.noise
        half = noise.shape[1] // 2
        torch.testing.assert_close(noise[:, half:].sum(1), -noise[:, :half].sum(1))


@TABLES
def test_local_scales_of_stored_models_are_those_of_their_rows(kind):
    model = stored_model(kind)
    reference, views = model.reference, torch.from_numpy(model.encoder.views())

    again = ReferenceSet.build(
        reference.values, reference.exclude_self, views, model.distance_weights
    )

    torch.testing.assert_close(again.local_scales, reference.local_scales)


def test_the_local_scale_is_the_root_of_the_distance_of_the_twentieth_but_not_too_small():
    rows = torch.cat([torch.zeros(25, 2), torch.randn(30, 2)]).double()

    scales = local_scales(rows)

    naive = []
    for row in rows:
        away = (rows - row).square().sum(1).sqrt().sort().values
        naive.append(away[20])  # the first one is the row itself
    naive = torch.stack(naive)
    assert (naive[:25] == 0).all()
    torch.testing.assert_close(scales, naive.clamp(min=naive.mean() / 10).sqrt())


@TABLES
def test_searches_are_set_up_from_the_reference_rows_of_each_view(kind):
    model = stored_model(kind)

    assert len(model.ensemble.searches) == 2
    for search, view in zip(model.ensemble.searches, model.ensemble.views, strict=True):
        weighted = (model.reference.values * model.distance_weights)[:, view]
        torch.testing.assert_close(search.rows, weighted, rtol=0, atol=0)
        assert torch.equal(search.exclude_self, model.reference.exclude_self)
    assert isinstance(model.ensemble, Ensemble)


@TABLES
def test_a_model_from_its_dict_scores_the_same_to_the_last_bit(kind):
    model, rows = stored_model(kind), stored_rows(kind)

    again = TabularModel.from_dict(model.to_dict())

    torch.testing.assert_close(again.score(*rows), model.score(*rows), rtol=0, atol=0)
    assert (again.calibration_scores == model.calibration_scores).all()


def test_scores_do_not_depend_on_how_many_rows_are_scored_at_once(monkeypatch):
    model, rows = stored_model("table"), stored_rows("table")
    whole = model.score(*rows)

    monkeypatch.setattr("anomdiff.models.tabular_model.SCORED_AT_ONCE", 7)

    torch.testing.assert_close(model.score(*rows), whole, rtol=0, atol=1e-6)


def test_a_fitted_model_is_frozen():
    model = stored_model("table")

    with pytest.raises(FrozenInstanceError):
        model.seed = 1
    with pytest.raises(FrozenInstanceError):
        model.ensemble.views = torch.ones(2)
    with pytest.raises(FrozenInstanceError):
        model.calibration.weights = [1.0]
