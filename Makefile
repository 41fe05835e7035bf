# Everything a person does here starts with `make`, which prints what there is.
# Two environments, because SAM CLI and the local AWS pin different versions of botocore:
# .venv for the code, the tests and the local cloud, .venv-sam for `sam` and `cfn-lint`.

PYTHON ?= python3
EVENT ?= events/all.json
RUNS ?= 1000
SEED ?= 1
export EVENT

PY := .venv/bin/python
INSTALL := pip install --quiet --disable-pip-version-check \
	--no-deps --require-hashes --only-binary=:all:
# Neither somebody's AWS settings nor make's own variables reach SAM.
SAM := env -i PATH="$(PATH)" HOME="$(CURDIR)/build/home" SAM_CLI_TELEMETRY=0 \
	AWS_DEFAULT_REGION=us-east-1 .venv-sam/bin/sam
UV := uv==0.13.9

.DEFAULT_GOAL := help
# One step after the other, except that `setup` installs both environments at once.
ifneq ($(MAKECMDGOALS),.venv/complete .venv-sam/complete)
.NOTPARALLEL:
endif
.DELETE_ON_ERROR:
.PHONY: help run up invoke logs down plan build test chaos mutants check format-check lint types template \
	fmt lock clean setup

help:
	@awk 'BEGIN { FS = ":.*## " } \
		/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 } \
		/^## / { print substr($$0, 4) } \
		/^##$$/ { print "" }' Makefile

## hetzner-snapshots, on a cloud of its own: nothing here touches AWS or, unless you
## say REAL=1, Hetzner.
##
## Run it:

run: build ## one night's run, start to end: cloud up, run, watch, cloud down
	@$(PY) -m local run

up: build ## start the local cloud and leave it running
	@$(PY) -m local up

invoke: setup ## start a run on the cloud of `make up` and watch it
	@$(PY) -m local invoke

logs: setup ## what the functions on that cloud have logged
	@$(PY) -m local logs

down: setup ## stop that cloud
	@$(PY) -m local down

plan: .venv/complete ## what a retention policy keeps, POLICY=daily7-weekly4
	@$(PY) -m local.plan

##
## Work on it:

build: setup .aws-sam/build/template.yaml ## sam build: the package that is deployed, on AWS too

# A file's tests stay together: those on the local stack share one cloud.
test: build ## all tests, the deployed local stack included
	$(PY) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

chaos: .venv/complete ## random nights on a hostile Hetzner, RUNS=1000 of them from SEED=1
	$(PY) -m tests.chaos --runs $(RUNS) --seed $(SEED) --jobs 2

mutants: .venv/complete ## break the code on purpose, line by line: does a night notice?
	$(PY) -m tests.mutants --jobs 2

check: format-check lint types template test ## format, lint, types, template, then all tests

format-check: setup
	$(PY) -m ruff format --check .

lint: setup
	$(PY) -m ruff check .

types: setup
	$(PY) -m mypy

template: setup
	@mkdir -p build/home
	@$(SAM) validate --lint --template-file template.yaml
	.venv-sam/bin/cfn-lint --template template.yaml

fmt: setup ## put the code into its format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lock: ## resolve requirements/*.in anew into the locked *.txt
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check $(UV)
	$(call LOCK,dev)
	$(call LOCK,runtime,--constraint requirements/dev.txt \
		--no-emit-package boto3 --no-emit-package botocore --no-emit-package s3transfer)
	$(call LOCK,sam)

clean: ## remove what was built; the environments stay (rm -rf .venv .venv-sam)
	@if [ -e .venv/complete ]; then $(PY) -m local down; fi
	rm -rf build .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find handler local tests -name __pycache__ -prune -exec rm -rf {} +

##
## Settings, as in `make run EVENT=events/dry-run.json`:
##   EVENT=FILE           what to run (run, invoke); events/all.json
##   REAL=1               the real Hetzner API, with the token in HCLOUD_TOKEN (or
##                        HERTZNER_API_KEY); shows what it would do and asks (run, up)
##   YES=1                with REAL=1: do not ask
##   HCLOUD_ENDPOINT=URL  another Hetzner API instead of the simulator, with that same
##                        token; nothing is asked (run, up)
##   WAIT_SCALE=X         how long waits really last: 1 on the real API, 1/60 on the
##                        simulator, whose clock then runs 60 times as fast (run, up)
##   AWS_PORT=N           port of the local AWS; a free one (run, up)
##   SIMULATOR_PORT=N     port of the simulator; a free one (run, up)
##   CLOUD_DIR=DIR        where run.json and the state of `make up` are kept; build
##   POLICY=daily3        the policy that `make plan` shows, for a year of nights or
##   SNAPSHOTS=FILE       a JSON list of creation times; FORMAT=json for programs
##   RUNS=1000 SEED=1     how many nights of `make chaos`, and the first one's number
##   PYTHON=python3       the Python (3.11 or later) that makes the environments

# From here on: how things are made. Each step leaves a file behind and is done again
# only if something it was made from is newer.

setup:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "$(PYTHON) not found. Say which Python to use: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed, $(PYTHON) is" \
			"$$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.13"; exit 1; }
	@$(MAKE) --silent --no-print-directory --jobs=2 .venv/complete .venv-sam/complete

.venv/complete: requirements/dev.txt
	$(call ENVIRONMENT,.venv,$<)

.venv-sam/complete: requirements/sam.txt
	$(call ENVIRONMENT,.venv-sam,$<)

build/package.complete: requirements/runtime.txt handler/Makefile
	@$(MAKE) --no-print-directory --file handler/Makefile $@

.aws-sam/build/template.yaml: template.yaml build/package.complete .venv-sam/complete \
		handler statemachine $(wildcard handler/*.py statemachine/*)
	@mkdir -p build/home
	@$(SAM) build >build/sam-build.log 2>&1 || { cat build/sam-build.log; exit 1; }

define ENVIRONMENT
@echo "Installing $(1) from $(2), once ..."
@$(PYTHON) -m venv $(1)
@$(1)/bin/python -m $(INSTALL) --requirement $(2)
@touch $@
endef

define LOCK
build/lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header \
	--python-version 3.11 $(2) \
	--output-file requirements/$(1).txt requirements/$(1).in
endef
