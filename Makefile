# From a fresh clone, with Python 3.11 to 3.13 and make alone: `make demo`, `make test`.
# PYTHON=/path/to/python chooses the interpreter; pip's own configuration is honoured.

.DEFAULT_GOAL := help
# One environment is installed into: never from two targets at once, whatever -j says.
.NOTPARALLEL:
.PHONY: help setup demo test test-adapters bench bench-read bench-timers chaos chaos-smoke chaos-rules kill-tests read-tests check lint types imports contracts format schemas manifests up down \
	status clean distclean

# Where no bytecode is kept, each of the many processes of the tests compiles every module anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
COMPILED := $(wildcard streams/hatch_build.py streams/foldlog/engine/*.pyx streams/foldlog/engine/*.pxi)
# Every context; TOPOLOGY=topologies.orders takes one.
TOPOLOGY ?= $(sort $(patsubst topologies/%/__init__.py,topologies.%,$(wildcard topologies/*/__init__.py)))
# Schemas must stay compatible with every release.
RELEASES = $(shell git tag --list "v*" 2>/dev/null)
# Extra arguments for pytest: make test PYTEST="-k saga"
PYTEST ?=
# How many test files run at once, each with a cluster of its own: they wait more than they work.
JOBS ?= 3
# Extra arguments for foldlog bench: make bench BENCH="--part throughput --rounds 3"
BENCH ?=
# How long faults go on, their schedule's seed, and more arguments: make chaos CHAOS="--runs 20"
SECONDS ?= 180
SEED ?= 7
CHAOS ?=
# How often a commit is delayed: make chaos-rules RUNS=20
RUNS ?= 20
PYTHONS := $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3 python)
# A terminal sees pip's own progress; a log sees one line per step.
PIP := $(BIN)/python -m pip --disable-pip-version-check
SAY := printf '· %s\n'

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUN) ## a real order log through the whole pipeline, every total checked
	@$(BIN)/foldlog demo

test: $(DEV) check ## style, types, layers, contracts and every test that needs no server
	@$(SAY) "pytest"
	@$(BIN)/python -m pytest -p tests.no_skips -p tests.spread -n $(JOBS) -m "not adapters and not soak" $(PYTEST)

test-adapters: $(DEV) ## the tests that need PostgreSQL, Redis and RabbitMQ: by URL, in Docker, or on this machine
	@$(BIN)/python -m pytest -p tests.no_skips -n 2 --dist loadfile -m adapters $(PYTEST)

bench: $(DEV) ## foldlog beside Kafka Streams, Quix Streams and Faust: build/bench.json (half an hour)
	@$(BIN)/python -m tests.bench $(BENCH)

bench-read: $(DEV) ## the query service: catching up, lists under load, restart: build/bench-read.json
	@$(BIN)/python -m tests.bench.read $(BENCH)

bench-timers: $(DEV) ## how late 10,000 pending timers go off: build/bench-timers.json
	@$(BIN)/python -m tests.bench.timers $(BENCH)

chaos: $(DEV) ## three brokers, workers and clients under real faults: make chaos SECONDS=180 SEED=7
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS) --seed $(SEED) $(CHAOS)

chaos-smoke: $(DEV) ## half a minute of faults, as a test
	@$(BIN)/python -m pytest -p tests.no_skips --timeout 900 -m soak $(PYTEST)

chaos-rules: $(DEV) ## each rule of the engine switched off must be caught; a commit delayed twenty times
	@$(BIN)/python -m tests.chaos.rules
	@$(BIN)/python -m tests.chaos.taint --runs $(RUNS)

kill-tests: $(DEV) ## the tests that kill workers, with the whole purchase log and 100,000 transfers (half an hour)
	@FOLDLOG_E2E_ORDERS=0 FOLDLOG_E2E_TRANSFERS=100000 $(BIN)/python -m pytest -p tests.no_skips --timeout 1800 tests/e2e $(PYTEST)

read-tests: $(DEV) ## 10,000 reads of one's own writes, and 100 a second while a view is rebuilt
	@FOLDLOG_TRIES=10000 FOLDLOG_READS=1000 $(BIN)/python -m pytest -p tests.no_skips --timeout 3600 -rP \
		tests/query/test_read_your_writes.py tests/query/test_rebuilt_while_asked.py $(PYTEST)

check: lint types imports contracts ## everything of `make test` but the tests

lint: $(DEV) ## ruff: format and rules
	@$(SAY) "ruff"
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/ruff check --quiet .

types: $(DEV) ## mypy, strict
	@$(SAY) "mypy"
	@$(BIN)/mypy

imports: $(DEV) ## import-linter: which layer may import which
	@$(SAY) "import-linter"
	@PYTHONPATH=. $(BIN)/lint-imports --no-logo

contracts: $(DEV) ## schemas and manifests are those of the topologies, and consumers can read what is published
	@$(SAY) "contracts"
	@$(BIN)/foldlog contracts $(TOPOLOGY)
	@for topology in $(TOPOLOGY); do \
		$(BIN)/foldlog schemas check $$topology $(RELEASES:%=--against %) || exit 1; done
	@$(BIN)/python -m deploy.generate --check

format: $(DEV) ## rewrite the sources in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

schemas: $(DEV) ## write schemas/ from the records of TOPOLOGY
	@for topology in $(TOPOLOGY); do $(BIN)/foldlog schemas write $$topology || exit 1; done

manifests: $(DEV) ## write deploy/topics/ from the topologies
	@$(BIN)/python -m deploy.generate

up: $(RUN) ## start the embedded Kafka and registry
	@$(BIN)/foldlog up

down: $(RUN) ## stop them
	@$(BIN)/foldlog down

status: $(RUN) ## show them
	@$(BIN)/foldlog status

setup: $(DEV) ## the environment of `make test`, without running anything

clean: ## remove what builds and tests leave behind
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## clean, and remove the environment (data in .foldlog stays)
	@rm -rf $(VENV)

$(RUN): pyproject.toml $(COMPILED) | $(BIN)/python
	@$(call install,embedded)
	@touch $@

$(DEV): pyproject.toml $(COMPILED) | $(BIN)/python
	@$(call install,dev)
	@touch $@ $(RUN)

define install
$(SAY) "installing foldlog[$(1)] into $(VENV) (minutes the first time, seconds after)"; \
quiet=--quiet; if [ -t 1 ]; then quiet=; fi; \
$(PIP) install $$quiet --editable '.[$(1)]'
endef

# The interpreter is tried, not just found: a version manager's shim may exist without its Python.
$(BIN)/python:
	@found=; bare=; for python in $(PYTHONS); do \
		"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
			>/dev/null 2>&1 || continue; \
		"$$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || { bare="$$bare $$python"; continue; }; \
		found="$$python"; break; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
		echo "error:$$bare cannot make environments: install venv (Debian: apt-get install python3-venv)" >&2; \
		exit 1; \
	elif [ -z "$$found" ]; then \
		echo "error: foldlog needs Python 3.11, 3.12 or 3.13, and none of" $(PYTHONS) "is one:" \
			"make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	$(SAY) "$(VENV): $$("$$found" --version), $$(command -v "$$found")"; \
	"$$found" -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
