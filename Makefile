# A machine with Python 3.11 or newer, make and the package registries will do: the rest is fetched or built.

PYTHON ?= python3
# Where uv is missing it is installed into .uv/.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
STACK ?= sandbox
BIN := .venv/bin
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/.uv/bin:$(PATH)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup toolchain up down test test-slow test-all check bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Install the library and its tools into .venv

$(READY): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --extra sandbox --extra eks
	@touch $@

.uv/bin/uv:
	scripts/get-uv $(PYTHON)

# All programs in one go, so that they share what they download.
toolchain: $(READY) ## Build the engine and the control plane where they are missing (10 minutes on 2 cores)
	@$(BIN)/gpu-clusters doctor --build >/dev/null

up: toolchain ## Bring the sandbox and the stack up: make up STACK=sandbox
	$(BIN)/gpu-clusters sandbox start
	$(BIN)/gpu-clusters up --stack $(STACK)
	@echo "               or both at once: make down" >&2

down: $(READY) ## Take the stack and the sandbox down, with their data
	$(BIN)/gpu-clusters destroy --stack $(STACK) --remove
	$(BIN)/gpu-clusters sandbox stop --delete-data

test: toolchain ## Run the tests, without the slow ones
	$(BIN)/pytest -m "not slow"

test-slow: toolchain ## Run the slow tests only, on the real engine and control plane
	$(BIN)/pytest -m slow

test-all: test test-slow ## Run all tests

check: $(READY) ## Lint, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: toolchain ## Measure
	$(BIN)/python benchmarks/run.py

clean: ## Remove what was set up here; built programs stay in the user's cache folder
	rm -rf .venv .uv .pytest_cache .ruff_cache .hypothesis dist build
