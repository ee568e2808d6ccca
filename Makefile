# `make` shows what there is to do. Nothing but Python 3.11+ and make is needed; everything goes into .venv and .demo here.

BIN := .venv/bin
SOURCES := runner controller tests tools examples benchmarks

.DEFAULT_GOAL := help
.PHONY: help demo demo-fleet test lint format bench bench-scaling simulate-faults setup clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.installed ## set up, and run 119 tasks on a year of flights: transform in shell, model in Python
	@examples/flights/demo.sh

demo-fleet: .venv/.installed-dev ## set up, and watch a fleet grow and go: AWS emulated, all else real
	@$(BIN)/python -m examples.fleet.demo

test: .venv/.installed-dev ## set up, and run all tests (make test ARGS="tests/test_retry.py -x" for some)
	@$(BIN)/python -m pytest -n 2 $(ARGS)

lint: .venv/.installed-dev ## formatting, style, types and layers
	$(BIN)/ruff format --check $(wildcard $(SOURCES))
	$(BIN)/ruff check $(wildcard $(SOURCES))
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-dev ## put the code into its standard form
	$(BIN)/ruff check --fix-only $(wildcard $(SOURCES))
	$(BIN)/ruff format $(wildcard $(SOURCES))

bench: .venv/.installed-dev ## measure throughput and overhead beside its peers (long; ARGS=--quick to try it)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-scaling: .venv/.installed-dev ## measure the scaling policy beside others' rules, in a model (long; ARGS=--quick to try it)
	@$(BIN)/python -m benchmarks.scaling $(ARGS)

simulate-faults: .venv/.installed-dev ## play SEEDS=n random combinations of faults in virtual time, and check each
	@$(BIN)/python -m controller.simulation.campaign --seeds $(or $(SEEDS),200)

setup: .venv/.installed-dev ## make .venv with the program and all that working on it needs

clean: ## remove all that was made here: .venv, .demo, .bench, caches
	rm -rf .venv .demo .bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(wildcard $(SOURCES)) -name __pycache__ -prune -exec rm -rf {} +

# Stamps: set up again only when what is to be installed has changed.
.venv/.installed: pyproject.toml tools/setup
	@tools/setup
	@touch $@

.venv/.installed-dev: pyproject.toml tools/setup
	@tools/setup dev
	@touch .venv/.installed $@
