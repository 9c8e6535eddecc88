# What a newcomer can run; `make help` lists it. Every target makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint types format bench dev clean

help: ## list what can be run
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.base ## count cars and people on a synthetic street; results in ./demo
	$(BIN)/sightline demo --out demo

test: $(VENV)/.test ## install all extras (torch: about 6 GB) and run the tests
	$(BIN)/python -m pytest

test-all: $(VENV)/.test ## the tests with the slow ones
	$(BIN)/python -m pytest -m "slow or not slow" -n 0

lint: $(VENV)/.dev ## ruff: style and likely mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

format: $(VENV)/.dev ## put the code into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test ## frames per second, stage by stage; about 4 minutes
	$(BIN)/python -m benchmarks.throughput

dev: $(VENV)/.dev ## everything for working on sightline, with the pre-commit hooks
	$(BIN)/pre-commit install

clean: ## remove the virtual environment, caches and demo results
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "sightline needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1); use: make PYTHON=python3.12 ..."; exit 1; }
	@echo "making $(VENV)"
	$(PYTHON) -m venv $(VENV)

SAY_KERNELS = $(BIN)/python -c 'from stages.track import kernels; print("tracker kernels:", kernels.describe())'
# Compiled while sightline is installed, so a change of theirs asks for another install.
KERNELS := hatch_build.py $(wildcard stages/*/kernels/*.pyx stages/*/kernels/*.pxi)

$(VENV)/.base: pyproject.toml $(KERNELS) | $(BIN)/python
	@echo "installing sightline (about 225 MB to download, 760 MB on disk)"
	$(PIP) install --progress-bar on -e .
	@$(SAY_KERNELS)
	@touch $@

$(VENV)/.test: pyproject.toml $(KERNELS) | $(BIN)/python
	@echo "installing sightline with all that the tests need (torch among it: about 6 GB, a few minutes)"
	$(PIP) install --progress-bar on -e ".[test]"
	@$(SAY_KERNELS)
	@touch $@ $(VENV)/.base

$(VENV)/.dev: pyproject.toml $(KERNELS) | $(BIN)/python
	@echo "installing sightline with the tools for working on it (torch among it: about 6 GB, a few minutes)"
	$(PIP) install --progress-bar on -e ".[dev]"
	@$(SAY_KERNELS)
	@touch $@ $(VENV)/.test $(VENV)/.base
