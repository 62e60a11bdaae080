# make demo    score the variants of a small built-in example
# make test    check style and types, run the fast tests
# make quick   check style, and run the tests of what changed since main: under a minute
# make docs    build the pages of docs/ into runs/site, links checked
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
DOCS := .venv-docs
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo
SEED := 1
TRIALS := 100
INPUTS := 2000
# what measures speed; the other scripts of benchmarks/ make the figures of a page, from data that they are given
BENCHMARKS := engine ism training annotate dataset windows matrix metrics stored tracks haplotypes

.PHONY: demo test quick docs stress bench lint reference clean
.DELETE_ON_ERROR:

demo: $(READY)
	rm -rf $(DEMO)
	$(BIN)/varscore demo $(DEMO)
	@echo "Written to $(DEMO):" && ls -l $(DEMO)

test: lint
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

quick: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/quick.py

# an environment of its own: what builds pages is no business of the tests
docs: $(DOCS)/.ready
	$(DOCS)/bin/mkdocs build --strict --quiet
	@echo "Written to runs/site/index.html"

$(DOCS)/.ready: constraints-docs.txt
	$(PYTHON) -m venv --clear $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check -r constraints-docs.txt
	@touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

stress: $(READY)
	$(BIN)/python tests/stress/kill_trials.py --trials $(TRIALS) --seed $(SEED)
	$(BIN)/python tests/stress/fault_trials.py --trials $(TRIALS) --seed $(SEED)
	$(BIN)/python tests/stress/fuzz.py --inputs $(INPUTS) --seed $(SEED)

bench: $(READY)
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit; done

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
	rm -rf $(VENV) $(DOCS) $(DEMO) runs/site build dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
