# make test: installs into .venv and runs the tests; make test-all: the slow ones too. make demo: trains and tests a small GSM on real clips.
PYTHON ?= python3
BIN := .venv/bin
NETWORK := experiments/train_gsm_demo/models/net_g_latest.pth

.PHONY: test test-all lint demo clean

# Two processes of one thread each are faster on two cores than one process of two.
test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations 20

test-all: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations 20 -m 'slow or not slow'

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Reuses the data and the network that are there; an interrupted training goes on.
demo: .venv/installed
	$(BIN)/python scripts/prepare_demo.py
	test -e $(NETWORK) || $(BIN)/basicsr train -opt options/train_gsm_demo.yml --auto_resume
	$(BIN)/basicsr test -opt options/test_gsm_demo.yml
	$(BIN)/python scripts/report_demo.py

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=23.1'

.venv/installed: setup.py pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: setup.py pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ .venv/installed

clean:
	rm -rf build *.egg-info .mypy_cache .pytest_cache .ruff_cache
