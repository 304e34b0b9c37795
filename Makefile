# The commands of a developer. `make` alone lists them; ARGS="…" passes flags on (`make demo ARGS=--once`).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Relative, so that the checkout's own path may hold spaces.
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ARGS :=
COMPILE := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --extra demo --extra web \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: help demo test prove faults simulate bench contract tables lint lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

# Ctrl-C is how a demo ends, so its exit code 130 is no error of make's.
demo: $(INSTALLED) ## sandbox, embedded PostgreSQL and the daemon on them, first sync shown
	@trap '' INT; (trap - INT; exec $(BIN)/syncd demo $(ARGS)) || [ $$? -eq 130 ]

test: $(INSTALLED) ## the test suite: under five minutes on two cores
	@exec $(BIN)/pytest -n auto $(ARGS)

prove: $(INSTALLED) ## the slow tests, and how many small changes of the core the tests notice: for hours
	@$(BIN)/pytest -m slow $(ARGS)
	@$(BIN)/python -m tests.contention
	@exec $(BIN)/python -m tests.mutation

faults: $(INSTALLED) ## plant each known bug in a copy of the code: is it found?
	@exec $(BIN)/python -m tests.planted $(ARGS)

simulate: $(INSTALLED) ## the engine on virtual time: a fault at every turn, for each reading of the API
	@exec $(BIN)/python -m tests.simulation $(ARGS)

bench: $(INSTALLED) ## syncd beside a hand-written floor: rows per second, CPU, memory, WAL
	@exec $(BIN)/python -m tests.bench $(ARGS)

CREDENTIALS :=
API_URL :=
contract: $(INSTALLED) ## hold an API against the contract: CREDENTIALS=token.json API_URL=https://… (ARGS=--help tells more)
	@exec $(BIN)/python -m tests.contract $(if $(CREDENTIALS),--credentials "$(CREDENTIALS)") $(if $(API_URL),--api-url "$(API_URL)") $(ARGS)

lint: $(INSTALLED) ## style, types, who may import whom, dependencies, house rules
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry .
	@$(BIN)/pytest tests/test_house.py

tables: $(INSTALLED) ## write docs/conformance.md and docs/proof-of-faults.md anew from the tests' markers
	@$(BIN)/python -m tests.coverage_tables

lock: ## resolve both lock files again; ARGS=--upgrade takes newer versions
	@tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	python3 -m venv "$$tools"; "$$tools/bin/pip" install --quiet --quiet --disable-pip-version-check uv; PATH="$$tools/bin:$$PATH"; \
	$(COMPILE) $(ARGS) --output-file requirements.lock; \
	$(COMPILE) $(ARGS) --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove the environment and every cache
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements-dev.lock pyproject.toml
	@if ! $(BIN)/python -c '' 2>/dev/null; then \
	  for python in python3.11 python3 none; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
	  done; \
	  if [ $$python = none ]; then echo "syncd needs Python 3.11 or newer: install it as python3.11 or python3." >&2; exit 1; fi; \
	  $$python -m venv --clear $(VENV); \
	fi
	@echo "Installing into $(VENV) (about a minute the first time) …" >&2
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
