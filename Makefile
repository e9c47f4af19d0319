# `make run` is all that a fresh machine with Python 3.11, pip and make needs. `make help` lists the rest.

VENV ?= .venv
# The oldest interpreter that PRX supports comes first: the lock files are made for it.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

BIN := $(VENV)/bin
PIP_TOOLS := pip-tools==7.6.2
LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(VENV)-lock/bin/pip-compile --quiet --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links $(LOCK_FLAGS)
# An interpreter without ensurepip (Debian's, without python3-venv) lends its own pip to the environment.
PIP = $$(test -x $(BIN)/pip && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python)
INSTALL = $(PIP) install --quiet --disable-pip-version-check
# One process for each core. Neighbours stay together as long as all are busy: what a module builds is rarely built twice.
# A test that hangs shows after 20 minutes where, and fails.
TEST := $(BIN)/pytest --numprocesses=auto --dist=worksteal \
	-o faulthandler_timeout=1200 -o faulthandler_exit_on_timeout=true

.PHONY: help run test test-fast node servers plugins lint format lock proof clean
.DEFAULT_GOAL := help

help: ## Show what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /  \1: /p' $(MAKEFILE_LIST)

run: $(VENV)/.run plugins ## Set everything up and start the daemon with ./prx.toml
	@exec $(BIN)/prx daemon

test: $(VENV)/.dev plugins node servers ## Set everything up and run every test
	@$(TEST)

test-fast: $(VENV)/.dev plugins ## Run the tests of the parts that take no more than a few seconds each, and the life of a daemon
	@$(TEST) -m "not slow" tests/unit tests/integration tests/e2e/test_daemon_life.py tests/e2e/test_daemon_signals.py

# The tests build a JavaScript guest from npm. Without root or apt they skip it and say so; with CI=true that fails.
node: ## Install Node.js and npm where there are none
	@command -v node >/dev/null && command -v npm >/dev/null || { \
	echo "no Node.js with npm: installing them" >&2; \
	apt-get update -qq && apt-get install -qq -y nodejs npm >/dev/null; } || \
	echo "Node.js and npm cannot be installed here; the tests of JavaScript guests are skipped" >&2

# The tests of channels talk to real servers. Without root or apt they skip what is missing and say so, as above.
servers: ## Install the chat and mail servers that the tests talk to, where they are missing
	@tests/support/servers/install.sh || \
	echo "the servers cannot be installed here; the tests against those that are missing are skipped" >&2

plugins: $(VENV)/.run ## Build the sample plugins that are missing or out of date
	@$(MAKE) --no-print-directory --silent -C plugins PYTHON=$(abspath $(BIN)/python)

lint: $(VENV)/.dev ## Check style, types and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## Put the code into the project's style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: $(VENV)-lock/bin/pip-compile ## Renew the hashes of the locked versions; LOCK_FLAGS=--upgrade takes newer versions
	$(LOCK) --build-deps-for editable --extra build-kit --extra channels --extra providers --output-file requirements.lock pyproject.toml
	$(LOCK) --build-deps-for editable --extra build-kit --extra channels --extra providers --extra dev \
		--output-file requirements-dev.lock pyproject.toml
	for apart in tests/components/*/requirements.in; do \
		$(LOCK) --allow-unsafe --output-file $${apart%.in}.lock $$apart || exit; done

proof: ## Do everything that CI does, then the proofs that take an hour: long soaks, and every property with 50 times the examples
	@.ci/run
	@$(BIN)/pytest tests/proof
	@$(BIN)/pytest -m hypothesis --hypothesis-profile=proof

clean: ## Remove the environments and what was built
	@$(MAKE) --no-print-directory -C plugins clean
	@rm -rf $(VENV) $(VENV)-lock .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "PRX needs Python 3.11 or newer; found none. Install it, or: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --without-pip $(VENV); \
	else echo "$(PYTHON) has neither ensurepip nor pip. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; fi
	@touch $@

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/.made
	@echo "installing what PRX runs on into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "installing what the tests need into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)-lock/bin/pip-compile:
	@$(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/pip install --quiet --disable-pip-version-check $(PIP_TOOLS)
