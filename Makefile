# Everything runs in .venv, which the first target makes; the machine itself is left alone.
#   make VIDEO=holiday.mp4 demo     the demo on a video of your own
#   make PYTHON=python3.12 install  another interpreter (3.10 to 3.14)

.DEFAULT_GOAL := help
SHELL := /bin/sh

# The first interpreter of a version that the dependencies support; python3 where there is none,
# so that the message names it.
SUITS := 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 15))'
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
  $$p -c $(SUITS) 2>/dev/null && echo $$p && exit; done; echo python3)
VIDEO ?=
JOBS ?= 2
TORCH := torch==2.13.0

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
NATIVE := $(wildcard pear_avatar/_native/CMakeLists.txt pear_avatar/_native/src/*)

.PHONY: help
help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(VENV)/.installed  ## Make .venv with the pear-avatar command in it

.PHONY: demo
demo: install  ## Fit a synthetic person (or VIDEO=path) and write demo-out/
	$(BIN)/pear-avatar demo -o demo-out $(if $(VIDEO),--video "$(VIDEO)")

.PHONY: test
test: lint viewer-tools  ## Run the linter, the type checker and all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

# What the viewer's tests drive: npm's packages and a Chromium. Each is got where it can be; where
# it cannot, those tests are skipped and say so.
.PHONY: viewer-tools
viewer-tools:  ## Get what the viewer's browser tests need
	@sh viewer/scripts/get-tools.sh

.PHONY: lint
lint: install  ## Run only the linters and the type checkers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@sh viewer/scripts/lint.sh

.PHONY: docs
docs: install  ## Build the documentation and the API reference into site/
	$(BIN)/mkdocs build

# Away from the sources, so that nothing but what the wheel holds can be imported.
TRIAL := build/wheel-trial
.PHONY: wheel
wheel: install  ## Build the wheel into dist/ and try it in an environment of its own
	$(PIP) wheel --no-deps -w dist .
	$(PYTHON) -m venv --clear $(TRIAL)
	$(TRIAL)/bin/python -m pip --quiet install "$(TORCH)"
	$(TRIAL)/bin/python -m pip --quiet install -c constraints.txt "$$(ls -t dist/*.whl | head -1)"
	cp tests/wheel/check_installed.py $(TRIAL)/ && cd $(TRIAL) && bin/python check_installed.py
	cd $(TRIAL) && bin/pear-avatar doctor

.PHONY: clean
clean:  ## Remove what the other targets made, .venv included
	rm -rf $(VENV) viewer/node_modules build dist site demo-out .pytest_cache .ruff_cache .mypy_cache .hypothesis
	cd pear_avatar/_native && rm -rf *.so CMakeFiles .cmake .ninja_* .skbuild-info.json \
	  CMakeCache.txt CMakeInit.txt build.ninja cmake_install.cmake

# Each step leaves a stamp, so that a second run takes no time and a failed one goes on where it
# stopped. torch comes first and alone: nothing after it may choose another build of it.
$(VENV)/.created:
	@$(PYTHON) -c $(SUITS) || { \
	  echo "pear-avatar needs Python 3.10 to 3.14 as $(PYTHON); with another one, say" \
	       "for instance: make PYTHON=python3.12 install" >&2; exit 1; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || { \
	  echo "a C++ compiler is missing; on Debian or Ubuntu: apt-get install g++" >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  $(PYTHON) -m venv --clear $(VENV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; \
	else \
	  echo "$(PYTHON) cannot make a virtual environment (no ensurepip, no pip); on Debian or" \
	       "Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi
	@touch $@

$(VENV)/.torch: $(VENV)/.created
	@echo "installing $(TORCH) ..."
	$(PIP) install "$(TORCH)"
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml constraints.txt $(NATIVE)
	@echo "building the native core, installing the rest ..."
	$(PIP) install -c constraints.txt -e ".[test]"
	$(PIP) install --no-deps -c constraints.txt stlpips_pytorch
	@touch $@
	@echo "ready: $(BIN)/pear-avatar --help"
