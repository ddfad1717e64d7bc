# make demo  runs labdata on synthetic sessions, from a fresh clone
# make test  checks style, types and behaviour
#
# Only what `make` of macOS and Linux share is used, and only relative paths: the folder of the
# clone may have spaces in its name.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# A Python to build the environment with: `make demo PYTHON=/opt/python3.12/bin/python3`.
PYTHON ?=
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check --no-input

# PyTorch is as large as all the rest: it has an environment of its own, and one version.
KILOSORT := .venv-kilosort
TORCH := torch==2.13.0

# Tests marked slow run when CI is set, and by `make test-all`.
CHOICE := $(if $(CI),,-m "not slow")
# Processes that share the tests: `make test WORKERS=0` runs them in one, for a debugger.
WORKERS ?= 2

.PHONY: help demo test test-all test-kilosort unit lint format clean

help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed-demo ## Install what the demo needs into .venv, and run it
	@if test -t 0 && test -t 1; then once=; else once=--once; fi; \
	exec $(VENV)/bin/labdata demo $$once

test: system-packages $(VENV)/.installed-dev ## Install, then style, types and tests (slow ones if CI is set)
	@$(MAKE) --no-print-directory lint unit

test-all: ## As `make test`, with the slow tests
	@$(MAKE) --no-print-directory test CHOICE=

test-kilosort: system-packages $(KILOSORT)/.installed ## Install Kilosort 4 with PyTorch apart, and sort with it
	$(KILOSORT)/bin/python -m pytest tests/integration/flow/test_kilosort4.py \
	    tests/integration/flow/test_motion.py

unit: $(VENV)/.installed-dev
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal $(CHOICE)

lint: $(VENV)/.installed-dev ## Style and types only
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(VENV)/.installed-dev ## Rewrite the source in the project's style
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean: ## Remove the environment and what was built; the demo's data stay
	rm -rf $(VENV) $(KILOSORT) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf labdata_jupyter.egg-info
	find labdata widgets hub tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: system-packages
system-packages:
	@PYTHON="$(PYTHON)" sh tests/system_packages.sh mariadb chromium compiler

# The stamps are made last, so an installation that was interrupted is repeated.
$(VENV)/.created:
	@sh tests/system_packages.sh python "$(PYTHON)"
	@python=$$(sh tests/find_python.sh "$(PYTHON)") && \
	echo "Making $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed-demo: $(VENV)/.created pyproject.toml labdata/loops/_compiled.c
	@echo "Installing labdata and what its demo needs into $(VENV) (a few minutes the first time)"
	@$(PIP) install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml labdata/loops/_compiled.c
	@echo "Installing labdata and its tests' tools into $(VENV) (a few minutes the first time)"
	@$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed-demo

$(KILOSORT)/.installed: pyproject.toml labdata/loops/_compiled.c
	@sh tests/system_packages.sh python "$(PYTHON)"
	@python=$$(sh tests/find_python.sh "$(PYTHON)") && \
	echo "Installing Kilosort 4 and PyTorch into $(KILOSORT) (a few minutes the first time)" && \
	"$$python" -m venv --clear $(KILOSORT)
	@$(KILOSORT)/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
	    $(TORCH) --editable '.[kilosort]' hypothesis pytest pytest-timeout
	@touch $@
