# Every target sets up what it needs, from nothing but Python 3.11+, make and git.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
READY := .venv/.ready-$(shell cat requirements-dev.lock pyproject.toml | cksum | cut -d' ' -f1)

.PHONY: help setup run ui test lint drills system-tools bench lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

$(READY):
	@echo "Setting up .venv (once; about a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==0.9.*" || $(BIN)/python -m pip install --quiet uv
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@rm -f .venv/.ready-* && touch $@

setup: $(READY)  ## the virtual environment, from the hashed lock

run: setup  ## simulate a history, then ingest, build features, train, release, score and measure it
	@$(BIN)/pipeline-assets run

ui: setup  ## Dagster's web UI and daemon on http://127.0.0.1:3000, on a persistent instance
	@$(BIN)/pipeline-assets ui

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

test: lint system-tools  ## ruff, mypy, the tests, then the slow drills
	@$(BIN)/pytest -q -n auto --dist loadfile
	@$(BIN)/pytest -q -m drill -n auto --dist loadfile

drills: setup system-tools  ## break the pipeline on purpose, see it recover, write a report
	@$(BIN)/pipeline-assets drill

# What the drills break things with is no Python package. Where they are missing and this may install them, it does.
system-tools:
	@missing=""; for tool in strace faketime; do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    apt-get update -qq && apt-get install -y -qq $$missing > /dev/null; \
	  else echo "The drills need:$$missing (Debian packages of the same names); install them first"; exit 1; fi; fi

bench: setup  ## each prints ratios measured side by side in one run
	@$(BIN)/python -m benchmarks

lock: setup  ## renew the hashed locks from pyproject.toml
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --group dev -o requirements-dev.lock

clean:  ## remove all data and the instance (not the environment)
	@find data -mindepth 1 ! -name .gitkeep -delete
