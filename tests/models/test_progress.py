import sys
import time
from types import SimpleNamespace

import pytest

from anomdiff.models import progress
from anomdiff.models.progress import progressed, showing


class Worker:
    def __init__(self, shown):
        self.progress = shown

    def work(self):
        with showing(self.progress):
            return [x for x in progressed(range(3), "repair", unit="row") if not time.sleep(0.02)]


@pytest.fixture
def notebook(monkeypatch):
    """A notebook without widgets: what is written to stderr is shown."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(progress, "PATIENCE", 0.0)


def test_a_notebook_without_widgets_sees_text(notebook, capsys):
    assert Worker(True).work() == [0, 1, 2]

    assert "repair: 100%" in capsys.readouterr().err


@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_nothing_is_shown_where_nobody_watches_or_wants_it(monkeypatch, capsys, patience):
    monkeypatch.setattr(progress, "PATIENCE", patience)

    assert Worker(True).work() == Worker(False).work() == [0, 1, 2]

    assert capsys.readouterr().err == ""


def test_short_work_shows_no_bar(notebook, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", 60.0)

    Worker(True).work()

    assert "repair" not in capsys.readouterr().err


def test_bars_are_only_those_of_the_detector_that_works(notebook, capsys):
    Worker(True).work()
    capsys.readouterr()

    assert list(progressed(range(2), "repair")) == [0, 1]
    Worker(False).work()

    assert capsys.readouterr().err == ""
