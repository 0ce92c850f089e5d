# `make demo` and `make test` need Python 3.11+ and a package registry; everything else they make themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ATLAS := data/atlases/smollm2-135m.duckdb
INSTALLED := $(VENV)/.installed
RIVALS := $(VENV)/.rivals

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Every set-up command installs what the lock names, also in the environments in which pip builds a package.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt

.PHONY: demo test hostile bench lint lock docs clean

demo: $(ATLAS)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash docs/tour.sh

test: $(INSTALLED)
	$(BIN)/neuron-atlas fetch smollm2-135m
	$(BIN)/ruff check atlas builders queries tests benchmarks docs
	$(BIN)/ruff format --check atlas builders queries tests benchmarks docs
	$(BIN)/python -m pytest

# The attacks of tests/hostile at full counts; NEURON_ATLAS_HOSTILE_SEED=N throws others.
hostile: $(INSTALLED)
	$(BIN)/neuron-atlas fetch smollm2-135m
	NEURON_ATLAS_HOSTILE=full $(BIN)/python -m pytest tests/hostile

# Every benchmark that needs no GPU, then docs/benchmarks.md from their results. On an idle machine.
bench: $(RIVALS)
	$(BIN)/neuron-atlas fetch smollm2-135m
	$(BIN)/python benchmarks/topk.py
	$(BIN)/python benchmarks/statistics_speed.py
	$(BIN)/python benchmarks/queries.py
	$(BIN)/python benchmarks/publish.py
	$(BIN)/python benchmarks/postgres.py
	$(BIN)/python benchmarks/report.py

lint: $(INSTALLED)
	$(BIN)/ruff check --fix atlas builders queries tests benchmarks docs
	$(BIN)/ruff format atlas builders queries tests benchmarks docs

# constraints.txt anew: the newest versions that pyproject.toml and constraints.in allow, for every platform and extra.
lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet uv
	$(VENV)/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    constraints.in pyproject.toml -o constraints.txt

# Files in docs/ that are made from the code.
docs: $(INSTALLED)
	$(BIN)/python docs/make_cli_reference.py
	$(BIN)/python -m atlas.schema.make_json_schema

$(ATLAS): | $(INSTALLED)
	@mkdir -p data/atlases
	$(BIN)/neuron-atlas fetch smollm2-135m
	$(BIN)/neuron-atlas build smollm2-135m -o $@ --holdout 0.25 --resume

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch
	$(BIN)/python -m pip install --quiet -e '.[gguf,plot,pandas,datasets,transformer-lens,nnsight,pyvene,peft,dev]'
	@touch $@

# What the benchmarks compare with.
$(RIVALS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -e '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) data/atlases data/models
