# `make demo` and `make test` need Python 3.11+ and a package registry; everything else they make themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ATLAS := data/atlases/smollm2-135m.duckdb
INSTALLED := $(VENV)/.installed
RIVALS := $(VENV)/.rivals

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test bench lint docs clean

demo: $(ATLAS)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash docs/tour.sh

test: $(INSTALLED)
	$(BIN)/neuron-atlas fetch smollm2-135m
	$(BIN)/ruff check atlas builders queries tests benchmarks docs
	$(BIN)/ruff format --check atlas builders queries tests benchmarks docs
	$(BIN)/python -m pytest

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
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[gguf,plot,pandas,datasets,transformer-lens,nnsight,pyvene,peft,dev]'
	@touch $@

# What the benchmarks compare with.
$(RIVALS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) data/atlases data/models
