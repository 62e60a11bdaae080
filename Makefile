# make demo    score the variants of a small built-in example
# make test    check style and types, run the fast tests
# make stress  kill runs at random and feed them broken files, for some minutes; make stress SEED=2 for others
# make bench   measure speed
# make lint    style and types only
# make reference  write docs/commands.md, the list of commands and options, anew
# make clean   remove everything make made
#
# demo, test, stress, bench and lint set up .venv first when they have to. Another Python: make PYTHON=/path/to/python3.12

PYTHON ?= $(or $(shell for p in python3.11 python3 python3.12 python3.13; do \
	$$p -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo
SEED := 1
TRIALS := 100
INPUTS := 2000

.PHONY: demo test stress bench lint reference clean
.DELETE_ON_ERROR:

demo: $(READY)
	rm -rf $(DEMO)
	$(BIN)/varscore demo $(DEMO)
	@echo "Written to $(DEMO):" && ls -l $(DEMO)

test: lint
	$(BIN)/python -m pytest -q -n 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

stress: $(READY)
	$(BIN)/python tests/stress/kill_trials.py --trials $(TRIALS) --seed $(SEED)
	$(BIN)/python tests/stress/fault_trials.py --trials $(TRIALS) --seed $(SEED)
	$(BIN)/python tests/stress/fuzz.py --inputs $(INPUTS) --seed $(SEED)

bench: $(READY)
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit; done

reference: $(READY)
	$(BIN)/python -m varscore.cli.reference docs/commands.md

# constraints.txt pins every package, with xgboost-cpu in the place of xgboost, which would bring half a gigabyte of GPU
# libraries. Hence --no-deps for varscore itself: pip would see xgboost missing and install it over its twin.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "varscore needs Python 3.11 or newer and '$(PYTHON)' is not; try make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV): a few minutes the first time"
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 10 --timeout 60 -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) build dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
