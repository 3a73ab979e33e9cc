PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo docs test checks suite test-gpu test-lowest test-newest lock lint clean

# The environment is rebuilt when what it is made from changes.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# Two real trainings, free and fully symmetric weights over 22 slopes of the leaky ReLU, and the picture of both.
demo: $(READY)
	rm -rf demo
	$(BIN)/python examples/demo.py
	@echo "watch it all:  $(BIN)/tensorboard --logdir demo"

# The site, in site/: every link is checked, and a warning is an error. It runs the tutorials.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

# Type checking takes one core a minute: the tests start beside it.
test: $(READY)
	$(MAKE) -j 2 --no-print-directory checks suite

checks: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One process a core, one thread each.
suite: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

# On a machine with an NVIDIA GPU: what needs one, alone.
test-gpu: $(READY)
	$(BIN)/python -m pytest -m gpu

# The other ends of what pyproject.toml allows, each in an environment of its own: make test-lowest PYTHON=python3.10
test-lowest test-newest: test-%: constraints-%.txt pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -c $< -e ".[dev]"
	OMP_NUM_THREADS=1 .venv-$*/bin/python -m pytest -n auto --dist worksteal

# All packages of the tested environment, those that ours need included; tools for bills of materials read the format.
lock: $(READY)
	{ echo "# Made by 'make lock' from the environment that the tests passed in."; \
	  $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > requirements-lock.txt

lint: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .venv-lowest .venv-newest demo runs build dist site
