# make setup | quickstart | test | slow | docs | screenshots | results | bench | bench-models | bench-peers: each sets up what it needs first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
# Tests run side by side, one process a core, and a model in each on one thread.
SIDE_BY_SIDE ?= -n auto --dist worksteal
test slow: export OMP_NUM_THREADS ?= 1

# Published data for the tests that need it; they skip where there is none.
ifneq ($(wildcard ../shared/data/.),)
SOTOPIA_ENV_DATA ?= $(abspath ../shared/data)
export SOTOPIA_ENV_DATA
endif

.PHONY: setup quickstart lint test slow docs screenshots results bench bench-models bench-peers clean

setup: $(STAMP)

# torch first and pinned on its own: where a CPU build is at hand, pip takes it, and nothing later replaces it.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet -c constraints.txt -e ".[train,test,openai,docs]"
	touch $@

quickstart: setup
	$(BIN)/sotopia-env quickstart $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) $(ARGS)

slow: setup
	$(BIN)/python -m pytest -q -m slow $(SIDE_BY_SIDE) $(ARGS)

# The site, to build/docs/site/index.html, without a network; warnings are errors.
docs: setup
	$(BIN)/python docs/build.py

# The pictures of the docs anew, by a headless Chromium.
screenshots: setup
	$(BIN)/python docs/screenshots.py $(ARGS)
	$(BIN)/python tests/play_screenshot.py

# Every published figure anew: hours, and the same call goes on where it was.
results: setup
	$(BIN)/sotopia-env results --docs . $(ARGS)

bench: setup
	$(BIN)/python -m sotopia_env.benchmark $(ARGS)

# MODEL: a folder; ARGS="--against CHECKOUT" measures another checkout in turn, ARGS=--quick takes little of everything.
bench-models: setup
	$(BIN)/python -m sotopia_env.benchmark_models $(MODEL) $(ARGS)

# Installs Sotopia and TextArena into environments of their own, about 0.6 GB.
bench-peers: setup
	$(BIN)/python -m sotopia_env.benchmark_peers build/peers $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
