# make run: the whole pipeline on the built-in photographs.  make test: lint, types, tests.
# make compare: CHIMLE beside other methods on equal time: hours (comparison/params.yaml).
# make faults: the tests that kill processes at random moments, twenty times each.
# make serve: a local Prefect server and worker that run the pipeline every night.
# make bench: search, training and sampling compared with the published algorithm on this machine.
# make install: the virtual environment alone, from requirements.lock.
VENV ?= .venv
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null \
	&& { echo $$p; break; }; done)
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)
export PYTHONWARNINGS := ignore
# With it, every process compiles all that it imports, and the tests take three times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install run test faults compare serve server-setup bench lint format clean check-python

install: $(VENV)/.installed

run: $(VENV)/.installed .git
	dvc repro
	python -m stages.summary

test: lint
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder

faults: $(VENV)/.installed
	OMP_NUM_THREADS=1 CHIMLE_KILLS=20 pytest tests/flows/test_faults.py tests/data/test_kills.py \
		tests/data/test_pairing_kills.py

compare: $(VENV)/.installed .git
	dvc repro comparison/dvc.yaml

serve: $(VENV)/.installed .git
	python -m flows.serve $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) $(if $(SLOTS),--slots $(SLOTS)) $(if $(PUBLIC),--public $(PUBLIC))

server-setup: $(VENV)/.installed
	python -m flows.setup_server $(if $(SLOTS),--slots $(SLOTS))

bench: $(VENV)/.installed
	python -m benchmarks.engine
	python -m benchmarks.sampling

lint: $(VENV)/.installed
	ruff check .
	ruff format --check .
	mypy

format: $(VENV)/.installed
	ruff check --fix .
	ruff format .

$(VENV)/.installed: requirements.lock | check-python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock 2>&1 \
		| grep -v '^WARNING: Location' || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --editable . 2>&1 \
		| grep -v '^WARNING: Location' || true
	$(BIN)/python -c 'import dvc, chimle.perceptual.lpips' && test -x $(BIN)/chimle || { rm -rf $(VENV); exit 1; }
	touch $@

check-python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or 3.12 is needed: install one, or name it: make PYTHON=/path/to/python3.12"; exit 2; }

.git:
	@echo "error: DVC works in a Git checkout: clone the repository instead of unpacking an archive"; exit 2

clean:
	rm -rf $(VENV) scratch .mypy_cache .pytest_cache .ruff_cache .hypothesis
