"""What the documentation shows runs: docstring examples, the README's code, the notebooks."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import anomdiff

ROOT = Path(__file__).parent.parent
MODULES = [module.name for module in pkgutil.walk_packages(anomdiff.__path__, "anomdiff.")]
# Pages whose code runs here; that of Spark and of the tracking server runs with their tests.
PAGES = ("index", "fraud-table", "sensor-fleet", "segments")
# Finding what is wrong needs training; running it does not.
SHORT = "Detector(max_iter=30, width=16, n_blocks=1, "


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_give_what_they_show(name):
    results = doctest.testmod(importlib.import_module(name))

    assert results.failed == 0


@pytest.mark.parametrize("name", ["SegmentedDetector", "TabularDetector", "TimeSeriesDetector"])
def test_a_detector_shows_an_example(name):
    assert ">>> " in getattr(anomdiff, name).__doc__


def test_the_code_in_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    for block in blocks:
        exec(compile(block.replace("Detector(", SHORT), "README.md", "exec"), {})

    assert len(blocks) == 3
    assert (tmp_path / "model" / "model.json").exists()


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_of_the_documentation_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / f"{page}.md").read_text()
    blocks, names = re.findall(r"```python\n(.*?)```", text, re.DOTALL), {}

    for block in blocks:
        exec(compile(block.replace("Detector(", SHORT), f"{page}.md", "exec"), names)

    assert blocks


def test_the_documentation_builds_without_warnings(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]

    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "api" / "detectors.html").exists()


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_run_from_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)

    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()

    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
