# Two commands on a fresh machine with Python >= 3.11, make and a C++ compiler:
#   make train    set everything up and train the default experiment
#   make test     set everything up and pass the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BROWSER := $(VENV)/.browser
ARGS ?= +experiment=cartpole
# `make LOCK=` installs by constraints.txt alone, where pip is to take other files than the lock's.
LOCK ?= requirements.lock
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What pip says where a release has no file for this machine, or torch needs CUDA's packages. Of a
# file whose hash is another it says something else, which ends here.
UNLOCKED := "must have their versions pinned|No matching distribution found"
# The package as it is installed, callbacks and configuration inside, for the type checker.
TYPED := build/typed/lightning_dqn
SITE := build/docs

.PHONY: help train test test-slow lint format docs pages bench lock clean

help:
	@echo "make train      train CartPole-v1 to a solved policy (ARGS='+experiment=acrobot' for another)"
	@echo "make test       the tests, a few minutes"
	@echo "make test-slow  the learning proofs, about an hour"
	@echo "make lint       ruff and mypy"
	@echo "make format     ruff's formatter"
	@echo "make docs       the site, in build/docs; a warning is an error"
	@echo "make pages      write what pages say of the code anew, after a change of conf or of options"
	@echo "make bench      the CartPole work unit beside the peers that are installed"
	@echo "make lock       write requirements.lock anew, from what is installed"

$(READY): pyproject.toml constraints.txt requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python >= 3.11 is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV): a few minutes the first time"
	@if test -n "$(LOCK)" && $(PIP) --require-hashes -r $(LOCK) 2> $(VENV)/lock.log; then \
		$(PIP) --no-deps --no-build-isolation -e .; \
	elif test -n "$(LOCK)" && ! grep -qE $(UNLOCKED) $(VENV)/lock.log; then \
		cat $(VENV)/lock.log; exit 1; \
	else \
		test -z "$(LOCK)" || echo "$(LOCK) isn't for this machine: by constraints.txt, unhashed"; \
		$(PIP) torch -c constraints.txt && $(PIP) -e '.[dev]' -c constraints.txt; \
	fi
	@touch $(READY)

# The page's tests want a browser and npm. Where they can't be installed these tests are skipped.
$(BROWSER): | $(READY)
	@missing=; \
	for pair in chromium:chromium chromedriver:chromium-driver node:nodejs npm:npm; do \
		command -v $${pair%%:*} > /dev/null || missing="$$missing $${pair#*:}"; \
	done; \
	if [ -z "$$missing" ]; then touch $(BROWSER); \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then \
		echo "Install$$missing to test the page that plays; its tests are skipped without"; \
	else \
		echo "Installing$$missing to test the page that plays"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends $$missing > /dev/null && touch $(BROWSER); } || \
		echo "That failed: the page's tests are skipped"; \
	fi

train: $(READY)
	@$(BIN)/python -m lightning_dqn $(ARGS)

test: $(READY) $(BROWSER)
	@$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 8

test-slow: $(READY)
	@$(BIN)/python -m pytest -m slow

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@rm -rf $(TYPED) && mkdir -p $(TYPED)
	@ln -s $(CURDIR)/lightning_dqn/* $(CURDIR)/callbacks $(CURDIR)/conf $(TYPED)
	@$(BIN)/mypy

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY)
	@$(BIN)/python -m sphinx --builder html --fresh-env --fail-on-warning --keep-going --quiet \
		docs $(SITE)
	@echo "The site is in $(SITE): $(BIN)/python -m http.server --directory $(SITE) shows it"

pages: $(READY)
	@PYTHONPATH=docs/extension $(BIN)/python -m generated_pages

bench: $(READY)
	@$(BIN)/python benchmarks/cartpole_work_unit.py

lock: $(READY)
	@$(BIN)/python tests/support/locked_versions.py

clean:
	@rm -rf $(VENV) build dist *.egg-info
