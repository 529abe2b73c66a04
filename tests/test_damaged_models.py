"""Damaged models, whose checksum is right again, are refused in one sentence when loaded."""

import hashlib
import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

import anomdiff

MODELS = Path(__file__).parent / "golden" / "models"
SECONDS = 5.0
GONE = "no such field"


@pytest.fixture
def model(tmp_path):
    """Copies a stored model with changes of its description and tensors, and a checksum for it."""

    def damaged(kind, describe=None, change=None):
        folder = tmp_path / kind
        shutil.copytree(MODELS / f"{kind}_3", folder, dirs_exist_ok=True)
        description = json.loads((folder / "model.json").read_text())
        weights = (folder / "weights.safetensors").read_bytes()
        if describe:
            describe(description)
        if change:
            tensors = load(weights)
            change(tensors)
            weights = save({name: each.contiguous() for name, each in tensors.items()})
        del description["checksum"]
        content = json.dumps(description, sort_keys=True).encode() + weights
        description["checksum"] = hashlib.sha256(content).hexdigest()
        (folder / "weights.safetensors").write_bytes(weights)
        (folder / "model.json").write_text(json.dumps(description))
        return folder

    return damaged


def refused(folder):
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"^need [^\n]*\.$"):
        anomdiff.load(folder)
    assert time.monotonic() - start < SECONDS


def at(path, value):
    """A change of one place of a description."""

    def describe(description):
        *way, last = path
        for key in way:
            description = description[key]
        if value is GONE:
            del description[last]
        else:
            description[last] = value

    return describe


BOTH = [
    (("model", "seed"), -1),
    (("model", "seed"), "x"),
    (("model", "network", "n_blocks"), 10**8),
    (("model", "network", "width"), 10**6),
    (("model", "network", "width"), -5),
    (("model", "history"), {"step": [1]}),
    (("model", "weights"), {}),
    (("model", "calibration"), {}),
    (("parameters", "alpha"), 2.0),
    (("parameters", "evil"), 1),
    (("threshold_alpha",), None),
    (("threshold",), GONE),
    (("n_features_in",), GONE),
    (("class",), GONE),
    (("class",), ["TabularDetector"]),
    (("class",), "object"),
    (("model",), []),
]
TABLE = [
    (("model", "encoder"), {}),
    (("model", "schema", "columns"), []),
    (("model", "schema", "columns", 0, "name"), "other"),
    (("model", "schema", "columns", 0, "kind"), "category"),
    (("model", "encoder", "codecs", 0, "mean"), "x"),
    (("model", "encoder", "codecs", 0, "std"), float("nan")),
    (("model", "calibration", "component_std"), [1.0]),
    (("model", "calibration", "component_std", 0), "x"),
    (("model", "calibration", "weights", 0), float("nan")),
    (("model", "n_training_rows"), 0),
    (("class",), "TimeSeriesDetector"),
]
SERIES = [
    (("model", "banks", 0, "length"), -(10**9)),
    (("model", "banks", 0, "length"), 10**9),
    (("model", "banks", 0, "kind"), "object"),
    (("model", "banks"), []),
    (("model", "window_lengths"), []),
    (("model", "window_lengths", 0), 10**9),
    (("model", "sigma"), 0),
    (("model", "scaler", "scales"), []),
    (("model", "scaler", "scales", 0, 2, 0), 0.0),
    (("model", "scaler", "targets"), [1, 1, 1, 0]),
    (("model", "scaler", "layout", "channels", 0), "other"),
    (("model", "scaler", "layout", "step"), "x"),
    (("class",), "TabularDetector"),
]
CHANGES = [("table", *each) for each in BOTH + TABLE] + [("panel", *each) for each in BOTH + SERIES]


@pytest.mark.parametrize(("kind", "path", "value"), CHANGES, ids=str)
def test_a_description_that_is_no_whole_model_is_refused(model, kind, path, value):
    refused(model(kind, at(path, value)))


def nan(x):
    return x * float("nan")


def infinite(x):
    return x + float("inf")


def empty(x):
    return x[:0]


def scalar(x):
    return torch.zeros(1)


TENSORS = {
    "table": ["model.weights.inward.weight", "model.reference.values", "model.calibration_scores"],
    "panel": ["model.weights.flat.inward.weight", "model.banks.0.windows", "model.regression"],
}


@pytest.mark.parametrize("change", [nan, infinite, empty, scalar])
@pytest.mark.parametrize(("kind", "name"), [(k, name) for k in TENSORS for name in TENSORS[k]])
def test_tensors_that_are_not_finite_or_of_another_shape_are_refused(model, kind, name, change):
    if name == "model.calibration_scores" and change is scalar:
        return  # one score is a legal, if useless, calibration
    refused(model(kind, change=lambda tensors: tensors.update({name: change(tensors[name])})))


@pytest.mark.parametrize("kind", TENSORS)
def test_a_tensor_that_is_absent_is_missed(model, kind):
    refused(model(kind, change=lambda tensors: tensors.pop(TENSORS[kind][1])))


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("text", [DEEP, "{", "null", "1"], ids=["deep", "open", "null", "number"])
def test_a_description_that_is_no_description_is_refused(model, text):
    folder = model("table")
    (folder / "model.json").write_text(text)

    refused(folder)


@pytest.mark.parametrize("kind", ["table", "numbers", "panel", "series"])
def test_a_model_that_was_only_copied_is_loaded(model, kind):
    anomdiff.load(model(kind))
