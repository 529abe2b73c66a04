"""The command `anomdiff` where it is not on the path: `python -m anomdiff`."""

from anomdiff.cli import main

if __name__ == "__main__":
    main(prog_name="anomdiff")
