# Every target does its own set-up: a .venv beside this file, reused by the next run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check
WORKERS ?= auto
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage lint format bench cookbook docs dist clean

help: ## Show what there is to make
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "langchain_llmops needs Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 2; }
	@echo "Setting up $(VENV) (once; about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -q --upgrade 'pip>=25.1'
	@$(PIP) install -q -c constraints.txt -e . --group dev
	@touch $@

setup: $(READY) ## Make the virtual environment and fetch tiktoken's two rank files
	@$(BIN)/python -m langchain_llmops._encodings

demo: setup ## Run the same RAG chain before and after, side by side, on a local provider
	@$(BIN)/llmops demo $(ARGS)

test: setup ## Run every test (ARGS="-k cache" to choose)
	@$(BIN)/python -m pytest -q -n $(WORKERS) $(ARGS)

coverage: setup ## Run every test and report branch coverage
	@$(BIN)/python -m pytest -q -n $(WORKERS) --cov --cov-report=term-missing $(ARGS)

lint: setup ## Check style, spelling, types and import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/codespell
	@$(BIN)/mypy && $(BIN)/mypy tests/typing && $(BIN)/lint-imports --no-logo

format: setup ## Format and mend what can be mended
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: setup ## Measure speed beside the alternatives and rewrite docs/benchmarks.md
	@$(PIP) install -q -c constraints.txt --group bench
	@for script in benchmarks/bench_*.py; do echo "== $$script" >&2; $(BIN)/python $$script || exit 1; done

cookbook: setup ## Execute the notebooks against the local provider
	@$(BIN)/jupytext --quiet --to ipynb --update --set-kernel python3 cookbook/[0-9]*.py
	@$(BIN)/python -m pytest -q -n 0 --nbmake --nbmake-timeout=60 --overwrite cookbook

docs: setup ## Build the documentation site into site/
	@$(PIP) install -q -c constraints.txt --group docs
	@$(BIN)/zensical build --strict --clean

dist: setup ## Build the wheel, install it elsewhere and import it
	@scripts/dist

clean: ## Remove the virtual environment and everything built
	@rm -rf $(VENV) dist site reports .mypy_cache .ruff_cache .pytest_cache .hypothesis
