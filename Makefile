# make demo | test | test-slow | mutants | cases | docs | lint | lock | clean; every target first sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DATA   ?=
OPTIONS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MLFLOW_DISABLE_TELEMETRY := true
# Idle OpenMP threads sleep instead of spinning: on a busy machine this is worth a factor of ten.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: setup demo test test-slow mutants cases docs lint lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt .ci/install-torch
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "need Python 3.11, 3.12 or 3.13; got %d.%d. Set PYTHON=/path/to/python3.11" % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	PYTHON=$(BIN)/python sh .ci/install-torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	@touch $@

demo: setup
	$(BIN)/anomdiff demo $(if $(DATA),--data "$(DATA)") $(OPTIONS)

test: setup
	$(BIN)/python -m pytest -n $${PYTEST_WORKERS:-auto} --dist loadgroup

test-slow: setup
	$(BIN)/python -m pytest -m slow

mutants: setup
	$(BIN)/python -m tests.mutants

cases: setup
	$(BIN)/python -m tests.cases

docs: setup
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo build/docs/index.html

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

lock: setup
	$(BIN)/python -m pip install --quiet --group lock
	$(BIN)/uv pip compile pyproject.toml --group dev --group lock --universal --python-version 3.11 \
		$(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) --no-header --no-annotate --upgrade \
		| sed 's/+cpu//' > constraints.txt

clean:
	rm -rf $(VENV) demo-output .pytest_cache .ruff_cache .import_linter_cache .mypy_cache
