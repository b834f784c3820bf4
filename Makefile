# Foxtrot. Needs python3 (3.11 or newer) with pip, and make; everything else goes into this folder.
#   make backtest PYTHON=python3.12          another interpreter
#   make backtest CONFIG=my.toml ARGS=--json  another run
#   make test ARGS="-k oms"                  some of the tests
#   make up INSTALLATION=my.toml             another installation than configs/paper.toml; so for down, status, restart
#   make restart SERVICE=oms                 one of its services
#   make chaos ARGS="-k F24"                 one of the faults; --resume goes on where a run was cut short

PYTHON ?= python3
CONFIG ?= configs/backtest.toml
INSTALLATION ?= $(or $(FOXTROT_CONFIG),configs/paper.toml)
ARGS ?=
WORKERS ?= 2
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
BIN := .venv/bin
INSTALLED := .venv/installed

# uv: the one on the PATH if it is recent enough, else our own copy.
UV := $(shell uv self version >/dev/null 2>&1 && command -v uv)
ifeq ($(UV),)
UV := .tools/uv-$(UV_VERSION)/bin/uv
endif

# What the caller's shell has set up for other projects must not reach into this one.
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH UV_PYTHON
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := true
export UV_HTTP_TIMEOUT ?= 120

# uv keeps its downloads in the home folder; where there is none to write to, in ours.
ifeq ($(UV_CACHE_DIR)$(XDG_CACHE_HOME),)
ifneq ($(shell test -d "$$HOME" && mkdir -p "$$HOME/.cache" 2>/dev/null && test -w "$$HOME/.cache" && echo yes),yes)
export UV_CACHE_DIR := $(CURDIR)/.tools/cache
endif
endif

.PHONY: help install backtest up down status restart test check lint format typecheck docs docs-serve bench bench-bus bench-oms chaos clean

help:  ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## set up .venv with Foxtrot and all tools

backtest: $(INSTALLED)  ## run the sample strategy over real prices and write the report
	$(BIN)/foxtrot backtest $(CONFIG) $(ARGS)

up: $(INSTALLED)  ## start paper trading on replayed prices, or INSTALLATION=FILE, and wait until it is ready
	@$(BIN)/foxtrot up $(INSTALLATION) $(ARGS)

down: $(INSTALLED)  ## stop it in order
	@$(BIN)/foxtrot down $(INSTALLATION) $(ARGS)

status: $(INSTALLED)  ## show its services and strategies
	@$(BIN)/foxtrot status $(INSTALLATION) $(ARGS)

restart: $(INSTALLED)  ## stop and start one of its services: SERVICE=oms
	@$(BIN)/foxtrot restart $(or $(SERVICE),$(error say which: make restart SERVICE=oms)) --config $(INSTALLATION) $(ARGS)

test: $(INSTALLED)  ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: $(INSTALLED)  ## lint, typecheck, test and docs, as CI does
	@failed=; for step in lint typecheck test docs; do \
	  echo "== make $$step"; $(MAKE) --no-print-directory $$step || failed="$$failed $$step"; \
	done; \
	if [ -n "$$failed" ]; then echo "== failed:$$failed" >&2; exit 1; fi; echo "== all is well"

lint: $(INSTALLED)  ## check style and the direction of imports; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

format: $(INSTALLED)  ## rewrite the code in the house style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

typecheck: $(INSTALLED)  ## check types, strictly
	$(BIN)/mypy

docs docs-serve: export NO_MKDOCS_2_WARNING := 1

docs: $(INSTALLED)  ## build the documentation into site/
	$(BIN)/mkdocs build --strict

docs-serve: $(INSTALLED)  ## serve the documentation and rebuild it on each change
	$(BIN)/mkdocs serve

bench: $(INSTALLED)  ## measure and write benchmarks/results.json
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-bus: $(INSTALLED)  ## measure the bus and a chain of processes and write benchmarks/results-bus.json
	$(BIN)/python benchmarks/chain.py $(ARGS)

bench-oms: $(INSTALLED)  ## measure the durable order management and write benchmarks/results-oms.json
	$(BIN)/python benchmarks/oms.py $(ARGS)

chaos: $(INSTALLED)  ## make every fault as often as it takes and write chaos-results.json
	$(BIN)/python tests/chaos/run.py $(ARGS)

clean:  ## remove what the commands above have made; logs and state in run/ stay
	rm -rf .venv .tools uv.lock site results htmlcov dist build .cache
	rm -rf .coverage .coverage.* coverage.xml .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find foxtrot services tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

define CHECK_PYTHON
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "Foxtrot needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)" >&2; \
  echo "With a newer one, say: make $(or $(MAKECMDGOALS),install) PYTHON=python3.12" >&2; exit 1; }
endef

$(INSTALLED): pyproject.toml | $(UV)
	$(CHECK_PYTHON)
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	$(UV) sync --all-extras
	@touch $@

.tools/uv-$(UV_VERSION)/bin/uv:
	$(CHECK_PYTHON)
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { \
	  echo "Foxtrot needs pip to fetch its tools, but '$(PYTHON) -m pip' does not run." >&2; \
	  echo "Install it (on Debian and Ubuntu: apt install python3-pip), or install uv." >&2; exit 1; }
	@echo "Fetching uv $(UV_VERSION) into .tools"
	@PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
	  $(PYTHON) -m pip install --quiet --no-input --target .tools/uv-$(UV_VERSION) uv==$(UV_VERSION)
