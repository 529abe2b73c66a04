"""Thresholds by alarms a night: never more than asked for, and counted as a loop would."""

import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import norm

from anomdiff import cli
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.threshold import preview


def scored(n=400, seed=0, decimals=6):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=n).round(decimals)
    p_values = [(1 + (scores >= s).sum()) / (1 + n) for s in scores]
    label = np.where(scores > 1.5, 1, rng.choice([-1, 0], n))
    return pd.DataFrame({"anomaly_score": scores, "p_value": p_values, "label": label})


@pytest.mark.parametrize("decimals", [6, 1])
@pytest.mark.parametrize("nights", [1, 4])
def test_a_threshold_raises_what_the_table_says_and_no_more_than_is_asked_for(decimals, nights):
    frame = scored(decimals=decimals)

    found = preview(frame, 10, nights=nights)

    for row in found.itertuples():
        above = frame[frame["anomaly_score"] > row.threshold]
        assert len(above) == row.alarms * nights
        assert above["p_value"].max() == row.alpha
        assert row.false == pytest.approx(row.alpha * 400 / nights)
        known = above[above["label"] >= 0]
        assert row.precision == pytest.approx((known["label"] == 1).mean())
        assert row.recall == (above["label"] == 1).sum() / (frame["label"] == 1).sum()
    assert found["alarms"].is_monotonic_increasing
    assert found["alarms"].max() <= 40
    if decimals == 6:
        assert 10 in found["alarms"].tolist()


def test_the_range_of_false_alarms_covers_what_models_of_so_few_calibration_rows_raise():
    rng = np.random.default_rng(0)
    covered = []

    for _ in range(200):
        known, batch = rng.normal(size=99), rng.normal(size=500)
        p_values = [(1 + (known >= score).sum()) / 100 for score in batch]
        found = preview(pd.DataFrame({"anomaly_score": batch, "p_value": p_values}), 40)
        row = found.loc[(found["alpha"] - 0.1).abs().idxmin()]
        k = round(row["alpha"] * 100)
        rate = norm.sf(np.sort(known)[-k])  # of normal rows, at the threshold of this alpha
        covered.append(row["false_low"] <= 500 * rate <= row["false_high"])

    assert 0.85 < np.mean(covered) < 0.95


def test_many_calibration_rows_narrow_the_range_and_other_p_values_have_none():
    few, many = scored(400), scored(400)
    many["p_value"] = (many["p_value"] * 401 * 100 + 1) / 40_101
    free = scored(400).assign(p_value=lambda x: x["p_value"] ** 1.1)

    widths = [
        (found["false_high"] - found["false_low"]).iloc[-1]
        for found in (preview(frame, 10) for frame in (few, many, free))
    ]

    assert widths[1] < widths[0] / 5
    assert np.isnan(widths[2])


def test_rows_without_a_score_do_not_count():
    frame = scored()
    more = pd.concat([frame, pd.DataFrame({"anomaly_score": [np.nan] * 50})])

    pd.testing.assert_frame_equal(preview(more, 10), preview(frame, 10))


def test_as_many_alarms_as_rows_flag_them_all():
    assert preview(scored(20), 20)["alarms"].max() == 20


@pytest.mark.parametrize(
    ("frame", "alarms", "said"),
    [
        (scored(), 0, "need alarms and nights above 0; got 0"),
        (scored().assign(anomaly_score=np.nan), 5, "need rows with a score; none of 400"),
        (scored().assign(anomaly_score=1.0), 5, "400 of 400 rows share the largest one"),
    ],
)
def test_what_cannot_be_is_told(frame, alarms, said):
    with pytest.raises(ValueError, match=said):
        preview(frame, alarms)


def test_the_command_reads_a_scored_file_and_names_an_alpha(tmp_path):
    frame = scored().assign(fraud=lambda x: np.where(x["label"] == 1, "yes", "no"))
    frame.drop(columns="label").to_parquet(tmp_path / "scored.parquet")
    arguments = [str(tmp_path / "scored.parquet"), "--alarms", "10"]

    plain = CliRunner().invoke(cli.main, ["threshold", *arguments])
    labelled = CliRunner().invoke(
        cli.main, ["threshold", *arguments, "--label", "fraud", "--normal", "no"]
    )

    assert plain.exit_code == 0, plain.output
    assert "for at most 10 alarms a night: --set detector.alpha=0.0274" in plain.output
    assert re.search(r"11 \([\d.]+ to [\d.]+\)", plain.output)
    assert "precision" in labelled.output
    assert "precision" not in plain.output
    without = CliRunner().invoke(cli.main, ["threshold", *arguments, "--label", "fraud"])
    assert without.exit_code == ExitCode.SETTINGS
    assert "need --normal" in without.output
