"""Thresholds by alarms a night: never more than asked for, and counted as a loop would."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

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
    assert "precision" in labelled.output
    assert "precision" not in plain.output
    without = CliRunner().invoke(cli.main, ["threshold", *arguments, "--label", "fraud"])
    assert without.exit_code == ExitCode.SETTINGS
    assert "need --normal" in without.output
