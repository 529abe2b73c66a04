import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

import anomdiff
from anomdiff import TabularDetector, TimeSeriesDetector
from tests.settings import TINY
from tests.tables import mixed_table


def scores(detector, frame):
    return detector.score_frame(frame)["anomaly_score"].to_numpy()


def test_scored_frame_keeps_the_index_and_agrees_with_itself(fitted, table):
    scored = fitted.score_frame(table)

    assert scored.index.equals(table.index)
    assert list(scored.columns) == ["anomaly_score", "p_value", "is_anomaly"]
    np.testing.assert_array_equal(scored["is_anomaly"], scored["p_value"] <= fitted.alpha)
    np.testing.assert_array_equal(scored["is_anomaly"], fitted.predict(table) == -1)
    np.testing.assert_array_equal(scored["is_anomaly"], fitted.decision_function(table) < 0)
    np.testing.assert_array_equal(scored["anomaly_score"], -fitted.score_samples(table))


def test_rows_that_repeat_are_judged_alike_alone_and_among_others():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({name: rng.random(1_000) < 0.4 for name in "uvw"})
    detector = TabularDetector(max_iter=50, width=16, random_state=0, progress=False).fit(rows)
    kinds = rows.drop_duplicates()

    for alpha in (0.05, 0.3, 0.5):
        together = detector.set_alpha(alpha).score_frame(rows).loc[kinds.index]
        alone = pd.concat([detector.score_frame(kinds.iloc[[i]]) for i in range(len(kinds))])

        pd.testing.assert_frame_equal(alone, together)
        equal = alone["p_value"].to_numpy()[:, None] == alone["p_value"].to_numpy()
        assert equal.sum() == len(kinds)


def test_a_score_does_not_depend_on_the_batch_or_the_order(fitted):
    frame = mixed_table(300, seed=1)
    whole = scores(fitted, frame)
    order = np.random.default_rng(0).permutation(300)

    one_by_one = np.concatenate([scores(fitted, frame.iloc[[i]]) for i in range(20)])

    np.testing.assert_allclose(one_by_one, whole[:20], rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores(fitted, frame.iloc[order]), whole[order], rtol=0, atol=1e-6)


def test_a_score_does_not_depend_on_the_number_of_threads(fitted):
    frame = mixed_table(300, seed=1)
    before = torch.get_num_threads()
    results = []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        results.append(scores(fitted, frame))
    torch.set_num_threads(before)

    np.testing.assert_allclose(*results, rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_model(table):
    first, again = (TabularDetector(**TINY).fit(table) for _ in range(2))

    np.testing.assert_array_equal(scores(first, table), scores(again, table))
    assert first.threshold_ == again.threshold_


def test_columns_are_found_by_name(fitted, table):
    shuffled = table[table.columns[::-1]]

    np.testing.assert_array_equal(scores(fitted, shuffled), scores(fitted, table))


def test_an_extra_column_is_ignored_with_a_warning(fitted, table):
    with pytest.warns(UserWarning, match="colour"):
        scored = scores(fitted, table.assign(colour="red"))

    np.testing.assert_array_equal(scored, scores(fitted, table))


def test_rows_against_the_dependency_stand_out_and_the_column_is_named(fitted):
    frame = mixed_table(200, seed=2)
    broken = frame.copy()
    broken["price"] = frame["price"].sample(frac=1, random_state=0).to_numpy()
    far = ((broken["price"] - frame["price"]).abs() > 40).to_numpy()

    labels = np.r_[np.zeros(200), np.ones(far.sum())]
    together = np.r_[scores(fitted, frame), scores(fitted, broken[far])]
    assert roc_auc_score(labels, together) > 0.9
    first = fitted.explain(broken[far], top=1)
    assert first["column"].isin(["price", "size", "kind"]).mean() > 0.9


def test_explain_lists_columns_by_contribution_with_the_value_found(fitted):
    frame = mixed_table(5, seed=3)

    reasons = fitted.explain(frame)

    assert len(reasons) == 5 * frame.shape[1]
    for label, block in reasons.groupby("row", sort=False):
        assert block["contribution"].is_monotonic_decreasing
        found = block.set_index("column")["value"]
        assert found["size"] == frame.loc[label, "size"]
        assert found["kind"] == frame.loc[label, "kind"]
    assert len(fitted.explain(frame, top=2)) == 10


def test_a_category_never_seen_is_scored_as_strange(fitted):
    frame = mixed_table(50, seed=4)

    assert (scores(fitted, frame.assign(kind="yacht")) > scores(fitted, frame)).mean() > 0.9


def test_missing_cells_are_scored(fitted):
    frame = mixed_table(50, seed=5)
    frame.loc[frame.index[:25], ["size", "kind", "sold"]] = None

    assert np.isfinite(scores(fitted, frame)).all()


def test_normal_rows_raise_alarms_at_about_alpha():
    frame = mixed_table(4000, seed=6)
    detector = TabularDetector(alpha=0.1, **TINY).fit(frame[:2000])

    rate = detector.score_frame(frame[2000:])["is_anomaly"].mean()

    # two standard errors of 400 calibration and 2,000 test rows
    assert rate == pytest.approx(0.1, abs=2 * np.sqrt(0.09 / 400 + 0.09 / 2000))


@pytest.mark.filterwarnings("ignore:columns")
def test_columns_that_go_together_are_learned_and_shuffled_cells_found():
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdef"))[rng.integers(6, size=(1500, 1))]
    frame = pd.DataFrame(np.repeat(letters, 5, axis=1), columns=list("vwxyz"))
    noisy = frame.mask(rng.random(frame.shape) < 0.1, "a")
    detector = TabularDetector(**TINY).fit(noisy[:1000])
    apart = noisy[1000:].apply(lambda column: rng.permutation(column))

    assert detector.model_.ensemble.cooccurrence is not None
    together = np.r_[scores(detector, noisy[1000:]), scores(detector, apart)]
    assert roc_auc_score(np.repeat([0, 1], 500), together) > 0.95


@pytest.mark.parametrize("n", [300, 3000])
def test_screening_finds_a_clump_of_anomalies_among_the_rows_fitted_to(n):
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(n, 3))
    clump = rng.normal(size=(n // 30, 3)) * 0.05 + 4
    rows = np.r_[clump, normal]
    detector = TabularDetector(alpha=0.05, **TINY)

    scored = detector.screen(rows)

    assert roc_auc_score(np.arange(len(rows)) < len(clump), scored["anomaly_score"]) > 0.99
    assert scored["is_anomaly"].mean() <= detector.alpha
    assert (detector.predict(clump + 0.01) == -1).all()  # ready for new rows


def test_contaminated_training_rows_are_not_learned():
    rng = np.random.default_rng(0)
    rows = np.r_[rng.normal(size=(500, 3)), rng.normal(size=(40, 3)) * 0.05 + 4]
    new = rng.normal(size=(200, 3)) * 0.05 + 4

    trusting = TabularDetector(alpha=0.05, **TINY).fit(rows)
    careful = TabularDetector(alpha=0.05, trim_fraction=0.1, **TINY).fit(rows)

    assert (careful.predict(new) == -1).mean() > 0.9
    assert (trusting.predict(new) == -1).mean() < 0.5


def test_a_resumed_fit_equals_an_uninterrupted_one(table, tmp_path):
    settings = {**TINY, "max_iter": 250}
    path = tmp_path / "training.safetensors"

    class Stop(Exception):
        pass

    def stop(state):
        if state.step == 150:
            raise Stop

    with pytest.raises(Stop):
        TabularDetector(checkpoint=path, **settings).fit(table, on_step=stop)
    steps = []
    resumed = TabularDetector(checkpoint=path, **settings).fit(
        table, on_step=lambda state: steps.append(state.step)
    )

    assert steps[0] == 101
    whole = TabularDetector(**settings).fit(table)
    np.testing.assert_array_equal(scores(resumed, table), scores(whole, table))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[:0], "row"),
        (lambda f: f[:3], "at least 4 rows"),
        (lambda f: f.assign(size=np.inf), "'size'"),
        (lambda f: pd.concat([f, f["size"]], axis=1), "size"),
    ],
    ids=["empty", "three rows", "infinite", "duplicate names"],
)
def test_bad_training_tables_are_refused_in_one_sentence(table, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        TabularDetector(**TINY).fit(change(table))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[:0], "row"),
        (lambda f: f.drop(columns="price"), "'price'"),
        (lambda f: f.assign(price="cheap"), "'price'.*cheap"),
        (lambda f: f.assign(price=-np.inf), "'price'"),
    ],
    ids=["empty", "missing column", "text for a number", "infinite"],
)
def test_bad_batches_are_refused_in_one_sentence(fitted, table, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        fitted.score_frame(change(table))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("alpha", 0.0),
        ("alpha", 1.0),
        ("max_iter", 0),
        ("n_draws", 3),
        ("validation_fraction", 1.5),
        ("trim_fraction", 0.5),
        ("sigma_max", 0.01),
        ("learning_rate", np.inf),
        ("device", "gpu"),
        ("progress", "yes"),
        ("kinds", ["number"]),
        ("kinds", {"colour": "number"}),
        ("checkpoint", "no such folder/file"),
        ("checkpoint", "."),
        ("checkpoint", 3),
    ],
)
def test_parameters_out_of_range_are_refused_before_the_first_step(table, parameter, value):
    steps = []

    with pytest.raises((TypeError, ValueError), match=parameter):
        TabularDetector(**{**TINY, parameter: value}).fit(table, on_step=steps.append)

    assert not steps


def test_importing_the_library_loads_no_tracking():
    code = "import sys, anomdiff; sys.exit('mlflow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_component_has_a_name_of_its_own(fitted):
    names = fitted.model_.ensemble.names

    assert len(set(names)) == len(names) == len(fitted.model_.calibration.weights)
    assert names[-3:] == ["subspaces (z)", "subspaces (ranks)", "parts"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "got None: read the table first"),
        ("table.csv", "got 'table.csv': read the table first"),
        ({"a": [1.0, 2.0]}, r"got a dict: set pandas.DataFrame\(X\)"),
        ([{"a": 1.0}, {"a": 2.0}], r"got a list of dicts: set pandas.DataFrame\(X\)"),
        (pd.Series([1.0, 2.0], name="a"), r"got the Series 'a': set X.to_frame\(\)"),
    ],
    ids=["None", "a path", "a dict", "records", "a Series"],
)
def test_what_is_no_table_is_refused_in_one_sentence(fitted, rows, message):
    for ask in (TabularDetector(**TINY).fit, fitted.score_frame, fitted.explain):
        with pytest.raises(TypeError, match=f"need rows and columns.*{message}") as caught:
            ask(rows)

        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [TabularDetector, TimeSeriesDetector])
@pytest.mark.parametrize("rows", [np.arange(500.0), [1.0] * 500, np.array(5.0), torch.ones(500)])
def test_cells_in_a_single_dimension_are_refused_without_printing_them(make, rows):
    with pytest.raises(
        ValueError, match=r"got \d+ cells .* X.reshape\(-1, 1\) for a column"
    ) as told:
        make(**TINY).fit(rows)

    assert len(str(told.value)) < 250
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("names", [[True, False], ["a", np.True_]])
def test_flags_as_column_names_are_refused_in_one_sentence(names):
    frame = pd.DataFrame(np.eye(30, 2), columns=pd.Index(names, dtype=object))

    with pytest.raises(ValueError, match=r"column names of text.*got .*True"):
        TabularDetector(**TINY).fit(frame)


@pytest.mark.parametrize("names", [["a", 1, "g"], [0, "x", ("p", 2)], ["t", pd.Timestamp(0), 2.5]])
def test_columns_of_text_and_other_names_get_every_answer(names, tmp_path):
    rng = np.random.default_rng(0)
    cells = {0: rng.normal(size=90), 1: rng.normal(size=90), 2: rng.choice([*"xyz"], 90)}
    plain = pd.DataFrame(cells)
    mixed = plain.set_axis(pd.Index(names, dtype=object, tupleize_cols=False), axis=1)
    detector, other = (TabularDetector(**TINY).fit(f) for f in (mixed, plain))
    holed = mixed[:9].mask(np.eye(9, 3, dtype=bool))

    anomdiff.save(detector, tmp_path / "model")
    again = anomdiff.load(tmp_path / "model")

    np.testing.assert_array_equal(scores(detector, mixed), scores(other, plain))
    np.testing.assert_array_equal(scores(again, mixed), scores(other, plain))
    assert set(detector.explain(mixed[:4])["column"]) == set(names)
    assert [*detector.impute(holed)] == [*detector.repair(holed)] == [*again.sample(3)] == names
    assert not detector.impute(holed).isna().any(axis=None)
