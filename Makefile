# `make demo` and `make test` do all the set-up they need, in an environment of their own.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
BIN := $(VENV)/bin
CPU := JAX_PLATFORMS=cpu

.PHONY: demo test test-all lint format docs clean

demo: $(VENV)/.demo
	$(CPU) $(BIN)/trm train --config sudoku:demo --workdir $(RUNS)/demo
	$(CPU) $(BIN)/trm eval --workdir $(RUNS)/demo
	$(CPU) $(BIN)/trm report $(RUNS)/demo --out $(RUNS)/demo/report
	$(CPU) $(BIN)/trm solve --workdir $(RUNS)/demo --picture $(RUNS)/demo/solved.png 1.....2..3....4.

test: $(VENV)/.dev
	$(CPU) $(BIN)/python -m pytest -q

test-all: $(VENV)/.dev
	$(CPU) $(BIN)/python -m pytest -q -m ""

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "wrote build/site/index.html"

$(VENV)/.demo: setup.cfg pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[plot]'
	touch $@

$(VENV)/.dev: setup.cfg pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

$(VENV)/.docs: setup.cfg pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
