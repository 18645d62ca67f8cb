# What a developer does here. `make` alone lists it. Everything runs in .venv, made from the locked files.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTHON ?= python3

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install run demo test check openapi bench bench-replicas bench-growth lock format clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
	  while IFS="$$(printf '\t')" read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

install: $(INSTALLED) ## make .venv with the command `relay`, from the locked files

run: $(INSTALLED) ## gateway and sandbox on this machine; prints the documentation's address, a key and a curl line
	@exec $(BIN)/relay dev

demo: $(INSTALLED) ## the whole story on temporary ports, with a timeline; exit code 0 if every step was seen
	@exec $(BIN)/relay demo

# Fault tests wait more than they compute, and what is left at the end is shared out.
PYTEST := $(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal

test: $(INSTALLED) ## the tests alone
	$(PYTEST)

check: $(INSTALLED) ## everything that must hold: format, lint, types, layers, generated files, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pip check
	$(BIN)/relay openapi --check openapi/relay.json
	$(PYTEST)

openapi: $(INSTALLED) ## write openapi/relay.json from the code
	$(BIN)/relay openapi > openapi/relay.json.new
	mv openapi/relay.json.new openapi/relay.json

bench: $(INSTALLED) ## measure this machine in less than a minute: accept, relay, callbacks, large sends
	$(BIN)/python -m tests.bench

bench-replicas: $(INSTALLED) ## SQLite, PostgreSQL, two replicas on it, and what PostgreSQL spends: two minutes
	$(BIN)/python -m tests.bench.replicas

bench-growth: $(INSTALLED) ## what a row costs at 50,000 and at 5,000,000 recipients, on both engines; takes minutes and 4 GB
	$(BIN)/python -m tests.bench.growth

# Resolves anew; pins that still fit are kept, `make lock UPGRADE=--upgrade` takes the newest.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: ## write deploy/lock from pyproject.toml; needs the package index
	@test -x $(BIN)/uv || { $(MAKE) -s $(BIN)/python && $(BIN)/pip install -q uv; }
	$(BIN)/$(LOCK) $(UPGRADE) pyproject.toml -o deploy/lock/runtime.txt
	$(BIN)/$(LOCK) $(UPGRADE) pyproject.toml --group dev -c deploy/lock/runtime.txt -o deploy/lock/dev.txt

format: $(INSTALLED) ## format the code and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove .venv and caches; var/, the data of `make run`, stays
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find relay tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'relay needs Python 3.11 or newer as $(PYTHON); name another one: make PYTHON=python3.12 …' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Without build isolation the build takes its tools from the lock too, and nothing is resolved here.
$(INSTALLED): deploy/lock/dev.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r deploy/lock/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
