# Midwatch: everything a clone needs. `make` alone says what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up down test test-v2 test-exact ground-truth lint wheel-test bench clean test-packages

BIN := .venv/bin
# Modules are compiled when they are first imported: a third of the time of the installation otherwise
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
BROWSER_CODE := $(wildcard hatch_build.py dashboards/frontend/package*.json dashboards/frontend/*.mjs dashboards/frontend/src/* dashboards/frontend/src/*/*)
TEST_PACKAGES := docker.io iptables iproute2 docker-registry busybox-static prometheus prometheus-alertmanager chromium
GUEST_PACKAGES := docker.io busybox-static qemu-system-x86 e2fsprogs
GUEST_TESTS := -q -s --timeout=3600 -m engine tests/exactness tests/runtime/test_oom.py

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: .venv/.server ## Engine, service, agent and the demo shop, until dashboards are live (ARGS="--no-demo")
	@$(BIN)/midwatch up $(ARGS)

down: ## Stop what `make up` started, and nothing else
	@if [ -x $(BIN)/midwatch ]; then $(BIN)/midwatch down $(ARGS); else echo "nothing was started from here"; fi

test: .venv/.dev test-packages lint ## All checks and tests, on a real engine, a real Prometheus, a real browser
	@.ci/test $(ARGS)

test-v2: KILLS ?= 40
test-exact: KILLS ?= 500
test-v2: .venv/.dev ## The agent's OOM tests on cgroup v2, in a guest machine made from this one (KILLS=500)
	@$(BIN)/python -m cli.packages $(GUEST_PACKAGES)
	@MIDWATCH_TEST_KILLS=$(KILLS) $(BIN)/python -m tests.vm.guest $(GUEST_TESTS) $(ARGS)

test-exact: .venv/.dev test-packages ## OOM kills by the hundred against the number that was caused (KILLS=500)
	@MIDWATCH_TEST_REQUIRE=1 MIDWATCH_TEST_KILLS=$(KILLS) \
		$(BIN)/python -m pytest -q -s --timeout=3600 tests/exactness $(ARGS)

ground-truth: REQUESTS ?= 100000
ground-truth: .venv/.dev test-packages ## What is counted of 100,000 requests amid restarts, against what was answered
	@MIDWATCH_TEST_REQUIRE=1 MIDWATCH_TEST_REQUESTS=$(REQUESTS) \
		$(BIN)/python -m pytest -q -s --timeout=3600 tests/exactness/test_ground_truth.py $(ARGS)

lint: .venv/.dev ## Style, types, and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

wheel-test: .venv/.dev ## The fast tests against the installed wheel, away from the sources
	@.ci/wheel-test

bench: .venv/.dev ## The numbers of docs/benchmarks.md
	@$(BIN)/python -m pytest -q -s --timeout=3600 tests/benchmarks $(ARGS)

clean: ## Remove the environment and all that is built
	rm -rf .venv build dist dashboards/static/dist dashboards/frontend/node_modules
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

test-packages: .venv/.server
	@$(BIN)/python -m cli.packages $(TEST_PACKAGES)

.venv/bin/python:
	@.ci/environment

.venv/.server: .venv/bin/python pyproject.toml $(BROWSER_CODE)
	@echo "midwatch: installing into .venv"
	@$(PIP) -e '.[server]'
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml $(BROWSER_CODE)
	@echo "midwatch: installing into .venv, with what development needs"
	@$(PIP) -e '.[server,dev]'
	@touch $@ .venv/.server
