# `make demo` and `make test` need Python 3.11+ and a package registry; everything else they make themselves.
PYTHON ?= python3
VENV ?= .venv
EXTRAS := gguf,plot,vision,pandas,web,mcp,datasets,transformer-lens,nnsight,pyvene,peft,dev
BIN := $(VENV)/bin
ATLAS := data/atlases/smollm2-135m.duckdb
INSTALLED := $(VENV)/.installed
RIVALS := $(VENV)/.rivals
LOCKER := .venv-lock/bin/python
UV_COMPILE := .venv-lock/bin/uv pip compile --quiet --all-extras --no-emit-index-url --no-emit-find-links \
    --custom-compile-command "make lock"

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Every set-up command installs what the lock names, also in the environments in which pip builds a package.
LOCK ?= $(CURDIR)/constraints.txt
export PIP_CONSTRAINT := $(LOCK)
export PIP_BUILD_CONSTRAINT := $(LOCK)

.PHONY: demo tour test types suite test-full test-oldest test-newest hostile bench gpu lint lock docs clean

demo: $(ATLAS)
	@$(BIN)/python docs/make_tour.py --show

# The outputs in docs/tour.md and README.md, and the pictures, anew.
tour: $(ATLAS)
	$(BIN)/python docs/make_tour.py

test: $(INSTALLED)
	$(BIN)/ruff check atlas builders queries tests benchmarks docs
	$(BIN)/ruff format --check atlas builders queries tests benchmarks docs
	$(MAKE) --jobs=2 types suite

# It uses one core for a minute or two, so `test` runs it beside the suite.
types: $(INSTALLED)
	$(BIN)/mypy

# Two processes with a thread each are faster than one with two: most tests compute little. A file stays in one process,
# which makes its fixtures once.
JOBS ?= 2
suite: $(INSTALLED)
	$(BIN)/neuron-atlas fetch smollm2-135m
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# All cases of what `make test` takes a sample of (tests/amount.py), and pictures of every page of the explorer.
test-full: $(INSTALLED)
	NEURON_ATLAS_TESTS=full NEURON_ATLAS_SCREENSHOTS=$(CURDIR)/data/work/screenshots $(MAKE) suite

# The same suite at the two ends of the ranges in pyproject.toml: CONTRIBUTING.md says when.
test-oldest: .venv-oldest.txt
	$(MAKE) suite VENV=.venv-oldest LOCK=$(CURDIR)/.venv-oldest.txt

TORCH ?= $(shell grep ^torch constraints.in)
test-newest:
	rm -rf .venv-newest
	echo '$(TORCH)' > .venv-newest.txt
	$(MAKE) suite VENV=.venv-newest LOCK=$(CURDIR)/.venv-newest.txt

.venv-oldest.txt: pyproject.toml constraints-oldest.in $(LOCKER)
	$(UV_COMPILE) --python-version 3.11 --resolution lowest-direct -c constraints-oldest.in pyproject.toml -o $@

# The attacks of tests/hostile at full counts; NEURON_ATLAS_HOSTILE_SEED=N throws others.
hostile: $(INSTALLED)
	$(BIN)/neuron-atlas fetch smollm2-135m
	NEURON_ATLAS_HOSTILE=full $(BIN)/python -m pytest tests/hostile

# Every benchmark that needs no GPU, then docs/benchmarks.md from their results. On an idle machine.
bench: $(RIVALS) $(ATLAS)
	$(BIN)/neuron-atlas fetch smollm2-135m
	$(BIN)/python -m benchmarks.speed.build
	$(BIN)/python -m benchmarks.speed.topk
	$(BIN)/python -m benchmarks.speed.compiled
	$(BIN)/python -m benchmarks.speed.statistics_speed
	$(BIN)/python -m benchmarks.speed.queries
	$(BIN)/python -m benchmarks.speed.publish
	$(BIN)/python -m benchmarks.speed.verify
	$(BIN)/python -m benchmarks.speed.search
	$(BIN)/python -m benchmarks.speed.newer $(ATLAS)
	$(BIN)/python -m benchmarks.speed.pages $(ATLAS)
	$(BIN)/python -m benchmarks.speed.far $(ATLAS)
	$(BIN)/python -m benchmarks.speed.growth
	$(BIN)/python -m benchmarks.speed.workers
	$(BIN)/python -m benchmarks.speed.host
	$(BIN)/python -m benchmarks.postgres.main
	$(BIN)/python -m benchmarks.common.report

# Tests of the device paths and what a GPU is measured by, in eight minutes; GPU='--device cpu --tiny' rehearses it.
GPU ?=
gpu: $(INSTALLED)
	$(BIN)/python -m benchmarks.gpu.main $(GPU)

lint: $(INSTALLED)
	$(BIN)/ruff check --fix atlas builders queries tests benchmarks docs
	$(BIN)/ruff format atlas builders queries tests benchmarks docs

# constraints.txt anew: the newest versions that pyproject.toml and constraints.in allow, for every platform and extra.
lock: $(LOCKER)
	$(UV_COMPILE) --python-version 3.11 --universal --upgrade constraints.in pyproject.toml -o constraints.txt

# In a folder of its own: what is locked must not decide what may be locked.
$(LOCKER):
	$(PYTHON) -m venv .venv-lock
	$@ -m pip install --quiet uv

# Files in docs/ that are made from the code.
docs: $(INSTALLED)
	$(BIN)/python docs/make_cli_reference.py
	$(BIN)/python docs/make_schema_reference.py
	$(BIN)/python docs/make_families.py
	$(BIN)/python -m atlas.schema.make_json_schema

$(ATLAS): | $(INSTALLED)
	@mkdir -p data/atlases
	$(BIN)/neuron-atlas fetch smollm2-135m
	$(BIN)/neuron-atlas build smollm2-135m -o $@ --holdout 0.25 --texts topics --texts emotions --resume

$(INSTALLED): pyproject.toml $(LOCK)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile torch
	$(BIN)/python -m pip install --quiet --no-compile -e '.[$(EXTRAS)]'
	@touch $@

# What the benchmarks compare with.
$(RIVALS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --no-compile -e '.[bench]'
	@touch $@

clean:
	rm -rf .venv .venv-* data/atlases data/models
