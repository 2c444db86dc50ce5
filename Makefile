# Every target makes the environment it needs: .venv, with the versions pinned in constraints.txt.
# `make bench ARGS="--models epoll_loop,gevent_greenlets --profile standard"` passes options on to `servebench run`.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help bench plots test lint install selfbench reference rules clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bench: $(VENV)/.runs ## compare all models: the quick profile, a verdict, charts in results/latest/charts (5 minutes)
	@$(BIN)/servebench run $(ARGS)

plots: $(VENV)/.runs ## draw the charts of the latest run anew; nothing is measured
	@$(BIN)/servebench plot $(ARGS)

test: $(VENV)/.tests ## run the tests (5 to 12 minutes, by the machine)
	@$(BIN)/python -m pytest -n 3 --dist loadgroup $(ARGS)

lint: $(VENV)/.tests ## ruff and mypy --strict
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

install: $(VENV)/.runs ## make the environment alone, the load engine compiled

selfbench: $(VENV)/.runs ## measure the measuring: the engine against others and the truth, the models against nginx (10 minutes)
	@$(BIN)/python -m benchmarks.selfbench $(ARGS)

reference: $(VENV)/.runs ## make results/reference anew (standard profile, fixed seed: an hour), packed into one file
	@rm -rf results/reference && $(BIN)/servebench run --profile standard --name reference --seed 2026 $(ARGS)
	@$(BIN)/python -m benchmarks.packing results/reference README.md docs/findings.md

rules: $(VENV)/.tests ## hold all models, and the peers that are installed, to every rule; the table in results/rules (15 minutes)
	@$(BIN)/servebench check --peers --jobs 3 --write results/rules $(ARGS)

clean: ## remove the environment and caches; results stay
	rm -rf $(VENV) .venv-pythons build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "servebench needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@[ -w . ] || { echo "this folder can't be written to, and the environment is to be in it: copy it to one of yours" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: sudo apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.runs: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing into $(VENV) (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@$(BIN)/python -m benchmarks.load
	@touch $@

$(VENV)/.tests: $(VENV)/.runs
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,lint,peers,fuzz]'
	@touch $@
