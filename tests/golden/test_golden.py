from functools import cache
from pathlib import Path

import pandas as pd
import pytest

import anomdiff
from tests.golden.answers import answers, differences

FOLDER = Path(__file__).parent
MODELS = sorted(folder.name for folder in (FOLDER / "models").iterdir())
ANSWERS = [
    (name, path.stem)
    for name in MODELS
    for path in sorted((FOLDER / "expected" / "models" / name).iterdir())
]
TABLES = [name for name in MODELS if name.startswith(("table", "numbers"))]
pytestmark = pytest.mark.filterwarnings("ignore:.*stay above the threshold:UserWarning")


@cache
def stored_input(name):
    return pd.read_parquet(FOLDER / "inputs" / f"{name.rpartition('_')[0]}.parquet")


@cache
def recomputed(name):
    return answers(anomdiff.load(FOLDER / "models" / name), stored_input(name))


def expected(name, answer):
    return FOLDER / "expected" / "models" / name / f"{answer}.csv"


@pytest.mark.parametrize(("name", "answer"), ANSWERS)
def test_a_stored_model_answers_as_it_did(name, answer):
    assert differences(recomputed(name)[answer], expected(name, answer)) == []


@pytest.mark.parametrize("name", MODELS)
def test_no_answer_of_a_stored_model_is_left_out(name):
    assert {(name, answer) for answer in recomputed(name)} == {e for e in ANSWERS if e[0] == name}


@pytest.mark.parametrize("name", MODELS)
def test_a_stored_model_written_anew_answers_the_same_to_the_last_bit(name, tmp_path):
    folder = anomdiff.save(anomdiff.load(FOLDER / "models" / name), tmp_path / name)

    again = answers(anomdiff.load(folder), stored_input(name))

    for answer, frame in recomputed(name).items():
        pd.testing.assert_frame_equal(again[answer], frame, check_exact=True)


@pytest.mark.parametrize("name", TABLES)
def test_rows_score_as_expected_among_many(name):
    frame = stored_input(name)
    many = pd.concat([frame] * 12)  # so many that nearest rows are searched by bounds

    scored = anomdiff.load(FOLDER / "models" / name).score_frame(many)

    assert differences(scored[-len(frame) :], expected(name, "scores")) == []
