"""Write the expected answers anew: ``python -m tests.golden.make``; ``--refit`` the models too."""

import argparse
import shutil
import zipfile
from pathlib import Path

import mlflow
import pandas as pd

import anomdiff
from anomdiff.integrations.mlflow.flavor import save_model
from tests.golden.answers import answers, predictions, write
from tests.golden.inputs import INPUTS

FOLDER = Path(__file__).parent
# What `anomdiff.save` writes; a new format gets new folders, and the old ones stay.
STORAGE_FORMAT = 3
SMALL = {"width": 16, "n_blocks": 2, "batch_size": 64, "progress": False, "random_state": 0}
WINDOWS = {"window_lengths": (8, 16, 32), "network_length": 16, "max_iter": 200}
DETECTORS = {
    "table": anomdiff.TabularDetector(alpha=0.02, max_iter=300, max_reference=150, **SMALL),
    "numbers": anomdiff.TabularDetector(
        alpha=0.05,
        max_iter=300,
        max_reference=200,
        validation_fraction=0.3,
        max_validation=60,
        **SMALL,
    ),
    "panel": anomdiff.TimeSeriesDetector(
        series="machine", time="time", covariates=["on"], max_reference=300, **WINDOWS, **SMALL
    ),
    "series": anomdiff.TimeSeriesDetector(max_reference=150, **WINDOWS, **SMALL),
}
LOGGED = "table", "panel"


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.make", description=__doc__)
    parser.add_argument("--refit", action="store_true", help="also fit and store the models")
    if parser.parse_args().refit:
        for kind in DETECTORS:
            refit(kind)
    for folder in sorted((FOLDER / "models").iterdir()):
        write(answers(anomdiff.load(folder), stored_input(folder.name)), expected(folder))
    for folder in sorted(each for each in (FOLDER / "mlflow").iterdir() if each.is_dir()):
        model = mlflow.pyfunc.load_model(str(folder))
        write(predictions(model, stored_input(folder.name)), expected(folder))


def refit(kind: str) -> None:
    """Fit and store one kind of model, and its input."""
    name = f"{kind}_{STORAGE_FORMAT}"
    train, new = INPUTS[kind]()
    detector = DETECTORS[kind].fit(train)
    anomdiff.save(detector, FOLDER / "models" / name)
    (FOLDER / "inputs").mkdir(exist_ok=True)
    new.to_parquet(FOLDER / "inputs" / f"{kind}.parquet")
    if kind in LOGGED:
        folder = FOLDER / "mlflow" / name
        shutil.rmtree(folder, ignore_errors=True)
        save_model(detector, folder, input_example=train[:3])
        move_code(folder / "code", folder.with_name(f"code_{STORAGE_FORMAT}.zip"))


def move_code(folder: Path, archive: Path) -> None:
    """Move the package of a logged model to an archive, whose bytes depend on nothing else."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.py")):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
    shutil.rmtree(folder)


def stored_input(name: str) -> pd.DataFrame:
    """The frame that a stored model, such as ``table_1``, is asked about."""
    return pd.read_parquet(FOLDER / "inputs" / f"{name.rpartition('_')[0]}.parquet")


def expected(folder: Path) -> Path:
    """Where the expected answers of a stored model are."""
    return FOLDER / "expected" / folder.relative_to(FOLDER)


if __name__ == "__main__":
    main()
