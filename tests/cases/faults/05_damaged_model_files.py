"""anomdiff.load promises ValueError for a damaged model; with a corrected checksum most damage is
another exception, NaN scores without an alarm, or a hang.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

import anomdiff

warnings.simplefilter("ignore")

SETTINGS = {
    "width": 8,
    "n_blocks": 1,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
}
HOME = Path(tempfile.mkdtemp())
FOLDER = HOME / "damaged"


def mixed(n, seed=0):
    """A table with all kinds of columns."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "price": rng.lognormal(size=n),
            "qty": rng.integers(0, 9, n),
            "kind": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]),
            "flag": rng.random(n) < 0.3,
            "when": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 40 * 86400, n), unit="s"),
            "gap": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "size": rng.choice(["s", "m", "l"], n),
        }
    )
    frame["size"] = np.where(frame["kind"] == "a", "s", frame["size"])
    return frame


def panel(n=200, seed=0):
    """Two series with a flag."""
    rng = np.random.default_rng(seed)
    steps = np.arange(n)
    parts = [
        pd.DataFrame(
            {
                "host": host,
                "t": pd.date_range("2024-01-01", periods=n, freq="min"),
                "load": np.sin(steps / 4) + rng.normal(0, 0.1, n),
                "mem": np.cos(steps / 7) + rng.normal(0, 0.1, n),
                "on": (steps % 50 < 40) * 1,
            }
        )
        for host in ("a", "b")
    ]
    return pd.concat(parts, ignore_index=True)


def checksum(description, weights):
    """The checksum that belongs to a description and tensors."""
    rest = {key: value for key, value in description.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode() + weights).hexdigest()


def read(folder):
    """The two files of a model."""
    description = json.loads((folder / "model.json").read_text())
    return description, (folder / "weights.safetensors").read_bytes()


def damage(kind, describe=None, change=None, text=None):
    """Copy a model and damage the copy; its checksum is right again."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(HOME / kind, FOLDER)
    description, weights = read(FOLDER)
    if describe:
        describe(description)
    if change:
        tensors = load_tensors(weights)
        change(tensors)
        weights = save_tensors({name: x.contiguous() for name, x in tensors.items()})
    description["checksum"] = checksum(description, weights)
    (FOLDER / "weights.safetensors").write_bytes(weights)
    (FOLDER / "model.json").write_text(text or json.dumps(description, indent=1))


def stop(*_):
    raise TimeoutError("5 s")


def outcome(kind):
    """Whether the damage was refused (or harmless) as promised, and what happened."""
    frame = mixed(40, 1) if kind == "tab" else panel(60, 1)
    stage = "load"
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(5)
    try:
        detector = anomdiff.load(FOLDER)
        stage = "score"
        scored = detector.score_frame(frame)
    except ValueError as error:
        refused = str(error).startswith(("need", "threshold")) and stage == "load"
        return refused, f"{stage}: ValueError: {error}"
    except BaseException as error:
        return False, f"{stage}: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    endless = ~np.isfinite(scored["anomaly_score"].to_numpy())
    low, high = scored["p_value"].min(), scored["p_value"].max()
    return not endless.any(), (
        f"accepted, {endless.sum()} of {len(endless)} scores not finite, "
        f"{int(scored['is_anomaly'].sum())} alarms, p {low:.3g}-{high:.3g}"
    )


def case(name, kind, describe=None, change=None, text=None):
    """Damage a model in one way and print what happens; True where that is a fault."""
    damage(kind, describe, change, text)
    ok, shown = outcome(kind)
    if "calib" in name and shown.startswith("accepted"):
        ok = False
    print("ok   " if ok else "FAULT", kind, name, "->", shown[:150].replace("\n", " "), flush=True)
    return not ok


def nan(prefix):
    """Make the tensors whose names start so NaN."""

    def change(tensors):
        for name, tensor in tensors.items():
            if name.startswith(prefix) and tensor.is_floating_point():
                tensors[name] = tensor * float("nan")

    return change


def set_size(**sizes):
    """Change the size of the network, wherever it is described."""

    def describe(description):
        description["parameters"].update(sizes)
        description["model"]["network"].update(sizes)

    return describe


def swap_class(description):
    tables = description["class"] == "TabularDetector"
    description["class"] = "TimeSeriesDetector" if tables else "TabularDetector"


def no_calibration_rows(tensors):
    tensors["model.calibration_scores"] = tensors["model.calibration_scores"][:0]


def other_shape(tensors):
    first = next(name for name in tensors if name.startswith("model.weights"))
    tensors[first] = torch.zeros(1)


def both(kind):
    """The damage that is the same for tables and series."""
    reference, encoder = {
        "tab": ("model.reference.values", "encoder"),
        "ser": ("model.banks", "scaler"),
    }[kind]
    return [
        case("network weights NaN", kind, change=nan("model.weights")),
        case("reference rows NaN", kind, change=nan(reference)),
        case("calib scores NaN", kind, change=nan("model.calibration_scores")),
        case("calib scores absent rows", kind, change=no_calibration_rows),
        case("network tensor of another shape", kind, change=other_shape),
        case("seed absent", kind, lambda d: d["model"].pop("seed")),
        case("class absent", kind, lambda d: d.pop("class")),
        case("class is a list", kind, lambda d: d.update({"class": []})),
        case("class swapped", kind, swap_class),
        case("unknown parameter", kind, lambda d: d["parameters"].update(evil=1)),
        case("encoder {}", kind, lambda d: d["model"].update({encoder: {}})),
        case("n_blocks 10**8", kind, set_size(n_blocks=10**8)),
        case("width 10**6", kind, set_size(width=10**6)),
        case("deep JSON", kind, text="[" * 100000 + "]" * 100000),
    ]


def set_component_std(change):
    """Change the spreads of the components."""
    return lambda description: change(description["model"]["calibration"]["component_std"])


tabular = anomdiff.TabularDetector(max_iter=20, alpha=0.05, **SETTINGS)
anomdiff.save(tabular.fit(mixed(200)), HOME / "tab")
series = anomdiff.TimeSeriesDetector(
    series="host", time="t", window_lengths=(4, 8, 16), max_iter=15, **SETTINGS
)
anomdiff.save(series.fit(panel()), HOME / "ser")
for kind in ("tab", "ser"):
    description, weights = read(HOME / kind)
    assert checksum(description, weights) == description["checksum"]

found = [
    *both("tab"),
    *both("ser"),
    case("component_std one short", "tab", set_component_std(lambda spreads: spreads.pop())),
    case(
        "component_std text",
        "tab",
        set_component_std(lambda spreads: spreads.__setitem__(slice(None), ["x"] * 4)),
    ),
    case(
        "bank length -10**9",
        "ser",
        lambda d: d["model"]["banks"][0].update(length=-(10**9)),
    ),
]
bad = sum(found)
print("FAULT" if bad else "OK", bad)
sys.exit(bad > 0)
