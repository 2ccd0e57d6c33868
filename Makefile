# The front door. Every target sets up what it needs; `make` alone prints this list.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
# Relative, and scripts by their Python, whose absolute path is in their first line: no shell is to read the path of the
# checkout, which may hold anything. What needs that path has it from the environment.
BIN := $(VENV)/bin
export DEMO := $(CURDIR)/.demo

# What is only in the virtual environment (CMake, Ninja, uv) stands behind what the machine has.
export PATH := $(PATH):$(CURDIR)/$(BIN)
PLAY := $(BIN)/python $(BIN)/ansible-playbook playbooks/macos_setup.yml

.PHONY: help demo demo-clean install check test bench requirements clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/runtime ## a working server in .demo/, from config/demo.json; touches nothing else
	@$(PLAY) --tags llm -e @playbooks/vars/demo.yml $(DEMO_ARGS)
	@$(BIN)/python playbooks/files/demo.py report "$$DEMO"

demo-clean: ## stop what demo started and remove all it made
	@$(PYTHON) playbooks/files/demo.py clean "$$DEMO"

install: $(VENV)/runtime ## the real thing, on this machine, from config/llm_config.json
	@$(PLAY) --tags llm $(ARGS)

check: $(VENV)/test ## lint, schema and quick unit tests, in about a minute
	@$(BIN)/python -m tests check

test: $(VENV)/test ## everything: check, contracts, real compile, real server
	@$(BIN)/python -m tests all

bench: $(VENV)/test ## the ratios in benchmarks/, as one table
	@$(BIN)/python -m benchmarks

requirements: $(VENV)/test ## write the pinned requirement files anew
	@for file in requirements/*.in roles/llama_cpp/files/requirements/*.in roles/llama_cpp/files/llm_tools/*.in; do \
	  case $$file in requirements/python39.in|roles/*) minimum=3.9;; *) minimum=3.11;; esac; \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version $$minimum --generate-hashes \
	    --only-binary :all: --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
	    --output-file "$${file%.in}.txt" "$$file" || exit 1; \
	done

clean: demo-clean ## remove every build product, the virtual environment included
	@rm -rf $(VENV) $(VENV)-* .cache macos_setup-llm-*.tar.gz

# Wheels only: the hash of a source distribution covers neither what it runs to become one nor the backend it fetches.
HASHED := --require-hashes --only-binary :all:

# A virtual environment with exactly the packages of a requirements file; uv, once there, installs the rest.
$(VENV)/runtime $(VENV)/test: $(VENV)/%: requirements/%.txt requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@echo "Installing the Python packages of requirements/$*.txt into $(VENV)"
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check $(HASHED) -r requirements/bootstrap.txt; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(HASHED) -r requirements/$*.txt
	@touch $@
