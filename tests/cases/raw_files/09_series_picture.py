"""Training series logs the picture sample.png for tables only; series must not print an attribute
error on each training.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd

home = pathlib.Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
times = pd.date_range("2025", periods=700, freq="h")
values = np.sin(np.arange(700) / 4) + rng.normal(0, 0.1, 700)
pd.DataFrame({"time": times, "v": values}).to_csv(home / "s.csv", index=False)
(home / "t.toml").write_text(
    'estimator="timeseries"\ntime="time"\n[detector]\nrandom_state=0\nmax_iter=30\n'
)

done = subprocess.run(
    [sys.executable, "-m", "pipelines.train", home / "t.toml", "--data", home / "s.csv"],
    cwd=home,
    env={
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/m.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
    },
    capture_output=True,
    text=True,
    check=False,
)
output = done.stdout + done.stderr
print(done.returncode, [line for line in output.splitlines() if "left out" in line])
bad = "left out" in output or done.returncode
print("FAULT" if bad else "OK")
sys.exit(bool(bad))
