"""A CSV whose first header cell is blank (every pandas to_csv with index, Excel exports): train
must register or refuse at once.
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
n = 400
columns = {"a": rng.normal(size=n), "b": rng.normal(size=n)}
rows = pd.DataFrame(columns, index=pd.Index(rng.integers(0, 20, n), name=""))
rows.to_csv(home / "x.csv")  # header line is ',a,b'
print((home / "x.csv").read_text().splitlines()[0])
(home / "t.toml").write_text("[detector]\nrandom_state=0\nmax_iter=50\nalpha=0.05\n")

done = subprocess.run(
    [sys.executable, "-m", "pipelines.train", home / "t.toml", "--data", home / "x.csv"],
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
print(done.returncode, (done.stdout + done.stderr)[-1500:])
print("OK" if done.returncode == 0 else "FAULT")
sys.exit(done.returncode != 0)
