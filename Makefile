# The pipeline as a chain of files: each stage is complete when its stage.json is there.
#
#   make demo             raise a small chat model, then print the report (PROFILE=laptop is the default)
#   make -n demo          show the plan
#   make test             the tests; `make check` the linter
#   make sft              one stage and what it needs, if that is not there yet or its settings changed
#
# Ctrl-C is safe: a stage appears as a whole or not at all, and training goes on from its last checkpoint.

PROFILE    ?= laptop
ACCELERATE ?= configs/accelerate/cpu.yaml
PYTHON     ?= python3
# The CPU build, where the package index offers one: make setup TORCH='--torch-backend cpu torch==2.13.0'
TORCH      ?= torch==2.13.0

RUNS    := runs/$(PROFILE)
CONFIGS := configs/$(PROFILE)
# In pipeline order; what follows a dash names a variant of a recipe. A profile without a config for a stage does not have that stage.
STAGES  := $(foreach stage,world corpus tokenizer pretrain sft eval-sft knowledge sft-truthful rlvr preferences reward dpo rlhf eval,$(if $(wildcard $(CONFIGS)/$(stage).yaml),$(stage)))

# How long a thread waits busily for the others. gcc's default makes training 10 times as slow as soon as any other
# program runs; this is as fast when it is alone (bench/README.md).
export GOMP_SPINCOUNT ?= 10000
# uv does not read pip's own setting for a folder of wheels.
export UV_FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))
UV      := .venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python
# The launcher ignores Ctrl-C and waits, so that the recipe can save before it ends.
# (`accelerate-launch` is `accelerate launch` without the import of its other commands.)
# One thread is the launcher's own default; each recipe takes all the cores it may use.
LAUNCH  := trap '' INT; .venv/bin/accelerate-launch --quiet --num_cpu_threads_per_process 1 --config_file $(ACCELERATE)

.PHONY: setup demo lab-overoptimisation $(STAGES) report test test-slow check fix clean
.DELETE_ON_ERROR:

demo: $(RUNS)/report.md
	@cat $<
	@echo
	@echo "Talk to the model:  .venv/bin/aji chat $(RUNS)/$(lastword $(filter sft sft-% rlvr rlhf,$(STAGES)))"

# Gold and proxy reward when a reward model is pressed too far (docs/rlhf.md).
lab-overoptimisation: $(RUNS)/preferences/stage.json
	@.venv/bin/aji experiment overoptimisation $(RUNS)/rlvr --count 200 --samples 1024

$(STAGES): %: $(RUNS)/%/stage.json
report: $(RUNS)/report.md

$(RUNS)/report.md: $(STAGES:%=$(RUNS)/%/stage.json)
	@.venv/bin/aji report $(RUNS)

# What each stage reads of the others.
reads = $(foreach stage,$(filter $(1),$(STAGES)),$(RUNS)/$(stage)/stage.json)
$(RUNS)/corpus/stage.json: $(call reads,world)
$(RUNS)/tokenizer/stage.json: $(call reads,world corpus)
$(RUNS)/pretrain/stage.json: $(call reads,world corpus tokenizer)
$(RUNS)/sft/stage.json: $(call reads,world pretrain)
$(RUNS)/eval-sft/stage.json: $(call reads,world sft)
$(RUNS)/knowledge/stage.json: $(call reads,world sft)
$(RUNS)/sft-truthful/stage.json: $(call reads,world sft knowledge)
$(RUNS)/rlvr/stage.json: $(call reads,world sft sft-truthful)
$(RUNS)/preferences/stage.json: $(call reads,world rlvr)
$(RUNS)/reward/stage.json: $(call reads,rlvr preferences)
$(RUNS)/dpo/stage.json: $(call reads,world knowledge rlvr preferences)
$(RUNS)/rlhf/stage.json: $(call reads,world knowledge rlvr reward)
$(RUNS)/eval/stage.json: $(call reads,world sft sft-truthful rlvr rlhf)
# Not the config of a stage but facts that some of them read.
$(RUNS)/world/stage.json $(RUNS)/eval/stage.json $(RUNS)/eval-sft/stage.json: $(wildcard $(CONFIGS)/identity.yaml)

$(RUNS)/%/stage.json: $(CONFIGS)/%.yaml | .venv/installed
	@echo "== $* ($<)"
	@$(LAUNCH) recipes/$(firstword $(subst -, ,$*)).py --config $< --if_exists keep

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aji needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	@echo "Installing into .venv (about 1 GB)"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	@$(UV) $(TORCH)
	@$(UV) -c constraints.txt -e '.[dev]'
	@touch $@

test: | .venv/installed
	.venv/bin/python -m pytest

test-slow: | .venv/installed
	.venv/bin/python -m pytest -m slow

check: | .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

fix: | .venv/installed
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:
	rm -rf $(RUNS)
