# Two commands: `make` builds the default accelerator for the default board, `make test` checks everything.
# Each creates .venv and installs what it needs when pyproject.toml has changed since the last time.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
PY     := $(VENV)/bin/python

.PHONY: build test slow lint docs clean
.DEFAULT_GOAL := build

build: $(VENV)/.installed
	$(PY) -m designs.mega build --target fpga

# The stamps are touched last, and `venv` mends what is half there: an interrupted installation starts again.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --editable '.[fpga,sim]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --editable '.[fpga,sim,asic,docs,dev]'
	touch $(VENV)/.installed $@

# One file stays on one worker: files share compiled models through their fixtures.
test: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m pytest -q -m 'not slow' -n $(JOBS) --dist loadfile

slow: $(VENV)/.installed-dev
	$(PY) -m pytest -m slow

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .

docs: $(VENV)/.installed-dev
	$(PY) -m sphinx -W --keep-going -q -b html docs build/docs

clean:
	rm -rf build
