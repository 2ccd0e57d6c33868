# Entry points. Every target installs what it needs; `make` alone prints the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
# A relative path, and scripts are run by this Python because their first line contains its absolute path: no shell may
# evaluate the path of the checkout, which may contain any character. Programs that need that path take it from the
# environment.
BIN := $(VENV)/bin
export DEMO := $(CURDIR)/.demo

# MODEL=selftest leaves out the model from the package index. Not taken from the environment.
MODEL =

# Ansible runs with UTF-8 only. The locale may be another one, or one that ssh brought along and that is not installed here.
ifneq ($(shell locale charmap 2>&1),UTF-8)
UTF8 := C.UTF-8 C.utf8 en_US.UTF-8 en_US.utf8 %.UTF-8 %.utf8
INSTALLED := $(shell locale -a 2>/dev/null)
export LC_ALL := $(or $(firstword $(foreach name,$(UTF8),$(filter $(name),$(INSTALLED)))),C.UTF-8)
endif

# Programs of the machine take precedence over those of the virtual environment (CMake, Ninja, uv).
export PATH := $(PATH):$(CURDIR)/$(BIN)
PLAY := $(BIN)/python $(BIN)/ansible-playbook playbooks/macos_setup.yml

.PHONY: help demo demo-clean install check test bench requirements clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/runtime ## run a working server in .demo/, from config/demo.json; changes nothing else
	@$(PLAY) --tags llm -e @playbooks/vars/demo.yml $(MODEL:%=-e @playbooks/vars/demo_%.yml) $(DEMO_ARGS) || \
	  { $(BIN)/python playbooks/files/demo.py advise "$$DEMO"; exit 2; }
	@$(BIN)/python playbooks/files/demo.py report "$$DEMO"

demo-clean: ## stop the demo and remove its files
	@$(PYTHON) playbooks/files/demo.py clean "$$DEMO"

install: $(VENV)/runtime ## install the server on this machine, from config/llm_config.json
	@$(PLAY) --tags llm $(ARGS)

check: $(VENV)/test ## run lint, schema and quick unit tests, in about a minute
	@$(BIN)/python -m tests check

test: $(VENV)/test ## run all tests, including a real compile and a real server
	@$(BIN)/python -m tests all

bench: $(VENV)/test ## run the benchmarks and print one table
	@$(BIN)/python -m benchmarks

requirements: $(VENV)/test ## update the pinned requirement files
	@for file in requirements/*.in roles/llama_cpp/files/requirements/*.in roles/llama_cpp/files/llm_tools/*.in; do \
	  case $$file in requirements/python39.in|roles/*) minimum=3.9;; *) minimum=3.11;; esac; \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version $$minimum --generate-hashes \
	    --only-binary :all: --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
	    --output-file "$${file%.in}.txt" "$$file" || exit 1; \
	done

clean: demo-clean ## remove all build products and the virtual environment
	@rm -rf $(VENV) $(VENV)-* .cache macos_setup-llm-*.tar.gz

# Wheels only: the hash of a source distribution does not cover its build backend, which would be downloaded and run.
HASHED := --require-hashes --only-binary :all:
# Whatever the owner's configuration of pip says about the place.
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check install --no-user --target "" --root / \
  --prefix "$$PWD/$(VENV)" $(HASHED)

# A virtual environment with exactly the packages of a requirements file. uv is bootstrapped by pip and installs the rest.
# It does not read pip's configuration, which may name the only index that can be reached.
$(VENV)/runtime $(VENV)/test: $(VENV)/%: requirements/%.txt requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is required; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@echo "Installing the Python packages of requirements/$*.txt into $(VENV)"
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(PIP) -r requirements/bootstrap.txt; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(HASHED) -r requirements/$*.txt || \
	  { echo "uv could not install them; trying pip" >&2; $(PIP) -r requirements/$*.txt; }
	@touch $@
