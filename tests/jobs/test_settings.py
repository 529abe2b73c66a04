from pathlib import Path

import pytest

import pipelines
from anomdiff import cli
from anomdiff.jobs.feedback_settings import FeedbackSettings
from anomdiff.jobs.settings import MonitorSettings, PromoteSettings, ScoreSettings, TrainSettings

SETTINGS = {
    "train": TrainSettings,
    "score": ScoreSettings,
    "feedback": FeedbackSettings,
    "promote": PromoteSettings,
    "monitor": MonitorSettings,
}


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "job.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_options_win_over_the_file(toml):
    path = toml('data = "a.csv"\noutput = "b.parquet"\nbatch_size = 7\n')

    settings = ScoreSettings.load(path, {"data": Path("c.csv"), "model": None})

    assert settings.data == Path("c.csv")
    assert settings.batch_size == 7
    assert settings.model == "models:/anomdiff@champion"


def test_one_value_is_a_list_of_one(toml):
    path = toml('data = "a"\nlabel = 38\nnormal = 3\ndrop = "x"\n')

    settings = TrainSettings.load(path)

    assert (settings.label, settings.normal, settings.drop) == (38, (3,), ("x",))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dat = 1", "unknown key 'dat'; known keys are by, data, decimal, detector, drop"),
        ("", "job.toml: need a value for 'data'; got none"),
        ("data = 'a'\nmax_rows = 0", "'max_rows': Input should be greater than 0; got 0"),
        ("data = 'a'\n[kinds]\nx = 'bool'", "'kinds.x': Input should be .*; got 'bool'"),
        ("data = 'a'\nlabel = 'y'", "need `normal`, the value of column 'y' that means normal"),
        ("data = ", "job.toml: need a TOML file; Invalid value"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence_naming_the_key(toml, text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        TrainSettings.load(toml(text))

    assert "\n" not in str(caught.value)


def test_a_missing_settings_file_is_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"need a settings file at .*x.toml; there is none"):
        TrainSettings.load(tmp_path / "x.toml")


def test_the_shipped_example_is_valid():
    path = Path(pipelines.__file__).parent / "configs" / "score.toml"

    settings = ScoreSettings.load(path)

    assert settings == ScoreSettings(data="payments.parquet", output="scored/payments.parquet")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_is_no_table_is_an_option_and_says_what_it_means(name):
    tables = {"alert", "kinds", "detector", "rule", "rules", "limits", "spark"}

    options = {parameter.name: parameter for parameter in cli.job(name).params}

    for key, field in SETTINGS[name].model_fields.items():
        assert field.description
        assert (key in options) == (key not in tables)
        assert key in tables or options[key].help == field.description
