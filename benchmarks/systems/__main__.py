"""Run one of the benchmarks of this folder by its name: `python -m benchmarks.systems jobs`."""

import sys
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = sorted(each.stem for each in FOLDER.glob("[a-z]*.py") if each.stem != "files")

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"need one of {', '.join(NAMES)}; got {' '.join(sys.argv[1:2]) or 'none'}.")
    name = sys.argv.pop(1)
    import_module(f"benchmarks.systems.{name}").main()
