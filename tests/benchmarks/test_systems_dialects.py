import pytest

from anomdiff.jobs.readers import read_table
from benchmarks.systems import dialects


@pytest.mark.filterwarnings("ignore")
def test_each_file_holds_the_same_rows(tmp_path):
    frame = dialects.sensors(60, seed=0)

    for path in dialects.write_files(tmp_path, frame):
        read = read_table(path)

        assert len(read) == len(frame)
        levels = read[2] if path.name == "bare.data" else read["Stufe"]
        assert levels.tolist() == frame["Stufe"].tolist()


def test_the_files_that_were_read_are_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dialects, "run_demo", lambda path: (["read"], path.suffix == ".csv"))

    dialects.main(["--rows", "50"])

    assert capsys.readouterr().out.splitlines()[-1] == "files 6 read 3"
