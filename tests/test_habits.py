"""Habits of the whole repository: what every module, every room and every file keeps to."""

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import anomdiff

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "anomdiff").rglob("*.py"))
CODE = [
    path for room in ("anomdiff", "pipelines", "benchmarks") for path in (ROOT / room).rglob("*.py")
]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
ROOMS = sorted(path.parent for path in LIBRARY if path.name == "__init__.py")
MAX_LINES = 350
# Words of the first version, for which the field has others: component, residual, segment ...
FORMER_WORDS = re.compile(
    r"\b(voices?|vouch\w*|remembered|shy|culprits?|blame\w*|stretch(es)?|hears|speaks|familiar"
    r"|TemporalNet|Futures|Surroundings|Wishes|Parcel|Tally|batch_rows|held_out_fraction"
    r"|max_held_out|max_memory|held_out_loss|lengths_)\b"
)
# Imported distributions by another name than their module's.
DISTRIBUTIONS = {"charset_normalizer": "charset-normalizer", "sklearn": "scikit-learn"}
OPTIONAL = {"mcp": "mcp", "holidays": "holidays", "optuna": "sweep", "pyspark": "spark"}


def name_of(path):
    return str(path.relative_to(ROOT))


def tracked():
    """Text files under version control."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not in a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if (ROOT / name).is_file()]


def in_a_fresh_process(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.split()


def imported_modules(tree):
    """Top names of the modules that a file imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_a_module_names_what_it_offers(path):
    body = ast.parse(path.read_text()).body
    offers = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in body)
    if path.name == "__main__.py" or not offers:  # a command, a docstring, a table of numbers
        return

    assert "__all__" in [target.id for node in body for target in _assigned(node)]


def _assigned(node):
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_a_room_says_in_a_few_lines_what_lives_in_each_file(room):
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    files = [path.stem for path in room.glob("*.py") if path.stem not in ("__init__", "__main__")]
    files += [path.parent.name for path in room.glob("*/__init__.py")]
    if room == ROOT / "anomdiff":  # the front door; the README is its list
        files = []

    missing = [name for name in files if not re.search(rf"\b{name}\b", said)]

    assert not missing
    assert len(said.splitlines()) <= 15


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_file_is_short_enough_to_read(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_file_uses_the_words_of_the_field(path):
    if path.name == "storage_format_1.py":  # names of files that lie on disks
        return

    assert not FORMER_WORDS.search(path.read_text())


def test_a_number_of_one_name_has_one_value():
    values = {}
    for path in LIBRARY:
        for node in ast.parse(path.read_text()).body:
            for target in getattr(node, "targets", []):
                names, given = [target], [getattr(node, "value", None)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    names, given = target.elts, node.value.elts
                for name, value in zip(names, given, strict=True):
                    if isinstance(name, ast.Name) and name.id.isupper() and _is_number(value):
                        values.setdefault(name.id, set()).add(ast.unparse(value))

    assert not {name: found for name, found in values.items() if len(found) > 1}


def _is_number(value):
    return not any(
        isinstance(node, ast.Name | ast.Call | ast.JoinedStr) for node in ast.walk(value)
    ) and all(
        isinstance(node.value, int | float)
        for node in ast.walk(value)
        if isinstance(node, ast.Constant)
    )


def public_functions():
    """Functions and methods that a module offers, with the name of where they are."""
    for path in LIBRARY:
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield f"{name_of(path)}:{node.name}", node
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                for part in node.body:
                    public = isinstance(part, ast.FunctionDef) and (
                        part.name == "__init__" or not part.name.startswith("_")
                    )
                    if public:
                        yield f"{name_of(path)}:{node.name}.{part.name}", part


def test_every_public_argument_is_typed():
    untyped = []
    for name, node in public_functions():
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        extra = [argument for argument in (given.vararg, given.kwarg) if argument]
        untyped += [
            f"{name}({argument.arg})"
            for argument in [*arguments, *extra]
            if argument.annotation is None and argument.arg not in ("self", "cls")
        ]

    assert not untyped


@pytest.mark.parametrize("name", ["SegmentedDetector", "TabularDetector", "TimeSeriesDetector"])
def test_every_parameter_of_a_detector_is_documented(name):
    detector = getattr(anomdiff, name)
    said = inspect.getdoc(detector)  # without indentation, which Python 3.13 removes by itself

    undocumented = [
        parameter
        for parameter in inspect.signature(detector).parameters
        if not re.search(rf"^(?=\S).*\b{parameter}\b.* : ", said, re.MULTILINE)
    ]

    assert not undocumented


@pytest.mark.parametrize("name", ["tiny", "wide"])
def test_every_fitted_attribute_is_documented(name, request):
    detector = request.getfixturevalue(name)
    fitted = [name for name in dir(detector) if re.fullmatch(r"[a-z]\w*[a-z0-9]_", name)]

    assert fitted
    assert not [name for name in fitted if not re.search(rf"\b{name}\b", detector.__doc__)]


def test_importing_the_library_loads_neither_tracking_nor_pictures():
    loaded = in_a_fresh_process("import sys, anomdiff; print(*sys.modules)")

    heavy = ("mlflow", "matplotlib", "pandas.plotting", "pyspark", "sqlalchemy")
    assert not [name for name in loaded if name.startswith(heavy)]


def test_a_detector_is_fitted_without_tracking():
    code = (
        "import sys, numpy as np, anomdiff\n"
        "rows = np.random.default_rng(0).normal(size=(60, 2))\n"
        "anomdiff.TabularDetector(max_iter=1, progress=False).fit(rows).predict(rows)\n"
        "print(*sys.modules)"
    )
    loaded = in_a_fresh_process(code)

    assert not [name for name in loaded if name.split(".")[0] in ("mlflow", "matplotlib")]


def test_the_version_has_one_source():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert "version" not in project
    assert project["dynamic"] == ["version"]
    assert importlib.metadata.version("anomdiff") == anomdiff.__version__


def test_what_the_library_imports_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=;\[ ]", line)[0] for line in project["dependencies"]}
    optional = project["optional-dependencies"]
    for module, extra in OPTIONAL.items():
        assert any(line.startswith(module) for line in optional[extra])

    imported = {name for path in LIBRARY for name in imported_modules(ast.parse(path.read_text()))}

    foreign = imported - sys.stdlib_module_names - {"anomdiff"} - set(OPTIONAL)
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} <= declared


def test_no_file_names_a_place_on_one_machine():
    place = re.compile(rb"(?<![\w.:/-])/(?:home|Users|root|work|opt|mnt)/[a-z]")

    found = [name_of(path) for path in tracked() if place.search(path.read_bytes())]

    assert not found


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_tests_draw_the_same_numbers_each_time(path):
    # torch's own generator is seeded before each test, in conftest.py.
    unseeded = (
        r"default_rng\(\)|RandomState\(\)|np\.random\.(rand|randn|normal|choice|seed|shuffle)\("
    )

    assert not re.search(unseeded, re.sub(r'r".*"', "", path.read_text()))
