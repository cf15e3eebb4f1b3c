# make run: the whole pipeline on the built-in photographs.
# make test: lint, types and all tests that need seconds.  make test-all: servers, kills and browsers too.
# make showcase: models like those of the README's image, from downloaded photographs, in showcase/:
#   TASK=colourization for one of them. 75 minutes per task, as showcase/params.yaml says.
# make compare: CHIMLE beside other methods on equal time: hours (comparison/params.yaml).
# make faults: the tests that kill processes at random moments, twenty times each.
# make fuzz: damaged files and random arguments for the command line, for SECONDS (3600).
# make serve: a local Prefect server and worker that run the pipeline every night.
# make disk: what grows on this machine's disk, with sizes.
# make bench: search, training and sampling compared with the published algorithm on this machine.
# make tour: the notebook docs/tour.ipynb with new outputs.
# make graph: the dependencies in dvc.yaml from the imports, the fields in params.yaml from the settings.
# make docs: the documentation as a site, in site/; a broken link is an error.
# make install: the virtual environment alone, from requirements.lock.
# make lock: requirements.lock from pyproject.toml for all Python versions and systems; needs uv.
VENV ?= .venv
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
# Torch requires one exact version of each of these where it needs them.
FROM_TORCH := triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti \
	cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 \
	nvjitlink nvshmem-cu13 nvtx)
# All but mlflow and wandb, which are large and which nothing here needs.
EXTRAS := train s3 diffusion heic tiff explore hub export tensorboard dvclive pipeline flows docs test
# Errors alone, and no pipe after it, which would hide that it failed.
PIP = $(VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-compile
# A file's tests share servers and models: one process runs them all.
PYTEST = OMP_NUM_THREADS=1 pytest --dist loadfile --no-loadscope-reorder
export PATH := $(abspath $(VENV))/bin:$(PATH)
export PYTHONWARNINGS := ignore
# With it, every process compiles all that it imports, and the tests take three times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install lock run showcase test test-all quick-tests all-tests faults fuzz compare serve server-setup disk bench docs tour graph \
	lint format clean check-python check-place

install: $(VENV)/.installed

lock:
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --python-version 3.11 \
		$(addprefix --extra ,$(EXTRAS)) --no-annotate $(addprefix --no-emit-package ,$(FROM_TORCH)) \
		--output-file requirements.lock pyproject.toml

run: $(VENV)/.installed .git
	python -m stages.check
	dvc repro
	python -m stages.summary

showcase: $(VENV)/.installed .git
	python -m stages.check $(TASK) --root showcase
	cd showcase && dvc repro $(addprefix evaluate@,$(TASK))
	$(if $(TASK),,python -m stages.summary --root showcase)

# Types are checked beside the tests, which do not need them.
test: $(VENV)/.installed
	$(MAKE) --jobs 2 lint quick-tests

test-all: $(VENV)/.installed
	$(MAKE) --jobs 2 lint all-tests

quick-tests: $(VENV)/.installed
	$(PYTEST) -n 2 -m "not slow"

# Tests of servers wait half of their time: three processes keep two cores busy.
all-tests: $(VENV)/.installed
	$(PYTEST) -n 3

faults: $(VENV)/.installed
	OMP_NUM_THREADS=1 CHIMLE_KILLS=20 pytest tests/flows/test_faults.py tests/data/test_kills.py \
		tests/data/test_pairing_kills.py

fuzz: $(VENV)/.installed
	OMP_NUM_THREADS=1 python -m tests.fuzz --seconds $(or $(SECONDS),3600)

compare: $(VENV)/.installed .git
	python -m stages.check
	dvc repro pair
	cd comparison && dvc repro

serve: $(VENV)/.installed .git
	python -m flows.serve $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) $(if $(SLOTS),--slots $(SLOTS)) $(if $(PUBLIC),--public $(PUBLIC))

server-setup: $(VENV)/.installed
	python -m flows.setup_server $(if $(SLOTS),--slots $(SLOTS))

disk: $(VENV)/.installed
	python -m flows.disk

bench: $(VENV)/.installed
	python -m benchmarks.engine
	python -m benchmarks.sampling

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

tour: $(VENV)/.installed
	OMP_NUM_THREADS=1 python -m tests.support.notebooks docs/tour.ipynb

graph: $(VENV)/.installed
	python -m stages.write_deps
	python -m stages.write_params

lint: $(VENV)/.installed
	ruff check .
	ruff format --check .
	mypy

format: $(VENV)/.installed
	ruff check --fix .
	ruff format .

$(VENV)/.installed: requirements.lock | check-python check-place
	"$(PYTHON)" -m venv $(VENV)
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --editable .
	$(VENV)/bin/python -c 'import dvc, chimle.perceptual.lpips' && test -x $(VENV)/bin/chimle
	@echo "$(abspath $(VENV))" > $@

# The programs of an environment name the folder that it was made in: moved, they fail; copied, they
# run the other one's code.
check-place:
	@place=$$(cat $(VENV)/.installed 2>/dev/null); test -z "$$place" || test "$$place" = "$(abspath $(VENV))" || \
		{ echo "error: $(VENV) was made as $$place, which its programs still name: remove it (rm -r $(VENV)) and run make again"; exit 2; }

check-python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or later is needed: install it, or name it: make PYTHON=/path/to/python3.12"; exit 2; }

.git:
	@echo "error: DVC works in a Git checkout: clone the repository instead of unpacking an archive"; exit 2

clean:
	rm -rf $(VENV) scratch showcase/scratch comparison/scratch site .mypy_cache .pytest_cache .ruff_cache .hypothesis
