# Everything that is done with this project, from a machine with Python 3.11 or newer and make.

.DEFAULT_GOAL := help
.PHONY: help run test test-s3 lint format bench bench-lifecycle clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Serve the dashboard, with a demo workspace if there is no data yet
	@$(BIN)/python manage.py run

test: $(VENV)/.test ## Run the tests (those in a browser want Debian's chromium-headless-shell, or chromium)
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# What asks the stores for files. The others do not, or have a store of their own whatever these are.
S3_TESTS := $(addprefix tests/test_,$(addsuffix .py,bulk dispositions lifecycle_machine access attach compare_pages \
	files_zip history ingest inspector library_pages media operation_pages purge races reconcile \
	removed_pages reviews single_actions status storage worker_kill)) \
	$(addprefix tests/browser/test_,$(addsuffix .py,compare gallery video))

test-s3: $(VENV)/.test ## Run the tests that touch files once more, with the stores on an S3 server
	@TEST_STORES=s3 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(S3_TESTS) $(ARGS)

lint: $(VENV)/.test ## Look for mistakes without running anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit -q -c pyproject.toml -r assets workspace
	git ls-files 'templates/*.html' | xargs $(BIN)/djade --check --target-version 5.2
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/.test ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	git ls-files 'templates/*.html' | xargs $(BIN)/djade --target-version 5.2

bench: $(VENV)/.run ## Measure pages against bare SQL and the stock admin, in var/bench-ROWS (ROWS=10000000 for the large table)
	@DATA_DIR=$${DATA_DIR:-var/bench-$${ROWS:-1000000}} $(BIN)/python -m bench.pages

bench-lifecycle: $(VENV)/.run ## Measure leaving, saving and coming back, in var/bench (ROWS=100000 for a short trial)
	@$(BIN)/python -m bench.lifecycle

clean: ## Remove what was installed and built, but not the data in var/
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is needed: on Debian, apt install python3-venv"; exit 1; }

# A file stands for what is installed, so that only a change of requirements installs again.
$(VENV)/.run: requirements.txt | $(BIN)/python
	@echo "Installing requirements.txt …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.test: tests/requirements.txt requirements.txt | $(BIN)/python
	@echo "Installing tests/requirements.txt …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@ $(VENV)/.run
