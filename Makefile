# Everything a person does here starts with `make`, which prints what there is.
# Two environments, because SAM CLI and the local AWS pin different versions of what they use: .venv
# for the code, the tests, the checks and the local cloud, .venv-sam for `sam` and `cfn-lint`.

PYTHON ?= python3
PYTHON_NAMED ?= $(filter-out file,$(origin PYTHON))
EVENT ?= $(if $(filter drill,$(MAKECMDGOALS)),events/drill.json,events/all.json)
RUNS ?= 1000
SEED ?= 1
SEEDS ?= 5
CHANGES ?= 40
STACK ?= hetzner-snapshots
export PYTHON PYTHON_NAMED EVENT RUNS SEED SEEDS CHANGES STACK

# What is said to make is text, which a tag's name may be a part of. Recipes therefore write $$SETTING,
# never $(SETTING), and what is said on the command line is not expanded by make, here or in a sub-make.
$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(eval \
	override $(name) := $$(value $(name)))$(eval export $(name))))
MAKEOVERRIDES :=

# Windows' Linux has this in every environment, and it is the machine's own.
ifeq ($(origin NAME),environment)
unexport NAME
endif

PY := .venv/bin/python
INSTALL := pip install --quiet --disable-pip-version-check \
	--no-deps --require-hashes --only-binary=:all:
# Neither somebody's AWS settings nor make's own variables reach SAM.
SAM := env -i PATH="$$PATH" HOME="$(CURDIR)/build/home" TMPDIR="$(CURDIR)/build/tmp" SAM_CLI_TELEMETRY=0 \
	AWS_DEFAULT_REGION=us-east-1 .venv-sam/bin/sam

.DEFAULT_GOAL := help
# One step after the other, except that `setup` installs both environments at once.
ifneq ($(MAKECMDGOALS),.venv/complete .venv-sam/complete)
.NOTPARALLEL:
endif
.DELETE_ON_ERROR:
.PHONY: help run drill up invoke repair logs down plan deploy token tell smoke status report restore forget destroy build events test chaos mutants bench \
	check format-check lint types template workflows fmt clean package sbom audit release lock setup venv

help:
	@awk 'BEGIN { FS = ":.*## " } \
		/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 } \
		/^## / { print substr($$0, 4) } \
		/^##$$/ { print "" }' Makefile

## hetzner-snapshots. Try it on a local cloud. This never touches AWS, and touches
## Hetzner only if you say REAL=1, or HCLOUD_ENDPOINT= with Hetzner's own address:

run: build ## one night: start the local cloud, run, watch, write a page, stop
	@$(PY) -m local run

drill: build ## restore one server there, look at it, remove it (drill.json)
	@$(PY) -m local drill

up: build ## start the local cloud and leave it running
	@$(PY) -m local up

invoke: setup ## start a run on the cloud of `make up` and watch it
	@$(PY) -m local invoke

repair: setup ## repair what is wrong in FLEET=trouble; then resume its run
	@$(PY) -m local repair

logs: setup ## the log of that cloud; SERVER=sg5: of one server
	@$(PY) -m local logs

down: setup ## stop that cloud
	@$(PY) -m local down

plan: venv ## show what a retention policy keeps, POLICY=daily7-weekly4
	@$(PY) -m local.plan

##
## Put it into your AWS account, with the credentials of your shell:

deploy: build ## create or update the stack; asks once, keeps the answers
	@$(PY) -m deploy deploy

token: venv ## test and store a Hetzner API token; from stdin: make token <file
	@$(PY) -m deploy token

tell: venv ## store where messages go: Slack, ntfy, … (REMOVE=1: nowhere)
	@$(PY) -m deploy tell

smoke: venv ## a dry run on the stack: what would the next night do?
	@$(PY) -m deploy smoke

status: venv ## what is saved, how old, what is overdue; 1 if not all is well
	@$(PY) -m deploy status

report: venv ## build/report.html: the page of `make run`, of its last run
	@$(PY) -m deploy report

restore: venv ## a new server from a snapshot, beside the old one; SERVER=
	@$(PY) -m deploy restore

forget: venv ## a project is no longer to be saved: removes its token; PROJECT=
	@$(PY) -m deploy forget

destroy: setup ## remove the stack; snapshots at Hetzner and tokens in SSM stay
	@$(PY) -m deploy destroy

##
## Work on it:

build: setup .aws-sam/build/template.yaml ## sam build: the package that is deployed, locally and on AWS

events: setup ## put events/*.json into the Test tabs of StartRun, StartRestore
	@$(PY) -m deploy events

# A file's tests stay together: those on the local stack share one cloud. They wait a lot: three
# processes keep two cores busy.
test: build ## all tests, also on a stack that is deployed locally
	@sh checks/hcloud.sh
	$(PY) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

chaos: venv ## simulate RUNS=1000 random nights full of errors, and days
	$(PY) -m tests.chaos --runs "$$RUNS" --seed "$$SEED" --jobs 2

mutants: venv ## break the code on purpose in many places: do the tests notice?
	$(PY) -m tests.operators --most "$$CHANGES" --seed "$$SEED" --jobs 2
	$(PY) -m tests.mutants --jobs 2

bench: build ## compare time, requests, cost with other ways; check promises
	case "$$FULL" in ''|0) ;; *) set -- --full --docs;; esac; \
	$(PY) -m bench --seeds "$$SEEDS" --deployed "$$@"

check: format-check lint types template workflows sbom audit test ## format, lint, types, template, package, then all tests

format-check: setup
	$(PY) -m ruff format --check .

lint: setup
	$(PY) -m ruff check .

types: setup
	$(PY) -m mypy

template: setup
	.venv-sam/bin/cfn-lint --template template.yaml
	$(PY) -m checks.translate build/translated.json
	.venv-sam/bin/cfn-lint --template build/translated.json

# zizmor looks for what makes workflows unsafe; the schemas are GitHub's.
workflows: setup
	.venv/bin/zizmor --offline --no-progress --quiet .github
	$(call SCHEMA,github-workflows,workflows/*.yml)
	$(call SCHEMA,dependabot,dependabot.yml)
	$(call SCHEMA,github-issue-forms,ISSUE_TEMPLATE/*.yml)

fmt: setup ## format the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean: ## remove what was built, but not the environments (rm -rf .venv*)
	@if [ -e .venv/complete ]; then $(PY) -m local down; fi
	rm -rf build .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find bench checks deploy handler local tell tests -name __pycache__ -prune -exec rm -rf {} +

##
## Release it:

package: build ## build/*.zip: the two packages; same commit: same zips
	@$(PY) -m local.package .aws-sam/build/StartRun build/hetzner-snapshots.zip
	@$(PY) -m local.package .aws-sam/build/Tell build/tell.zip

sbom: build ## build/*.json: what the packages contain (CycloneDX), licences
	$(PY) -m checks.contents .aws-sam/build/StartRun runtime build/sbom.json
	$(PY) -m checks.contents .aws-sam/build/Tell tell build/sbom-tell.json

audit: setup ## known vulnerabilities in the package; says if it has no network
	$(PY) -m checks.audit "$$AUDIT"

release: package sbom ## build/release: the files of a release; TAG=v0.1.0, the version
	@$(PY) -m checks.release "$$TAG" build/release

lock: ## lock the requirements again: requirements/*.in to *.txt
	"$$PYTHON" -m venv build/lock
	build/lock/bin/python -m $(INSTALL) --requirement requirements/lock.txt
	$(call LOCK,lock)
	$(call LOCK,dev)
	$(call LOCK,runtime,$(WITHOUT_BOTO3))
	$(call LOCK,tell,$(WITHOUT_BOTO3))
	$(call LOCK,sam)

##
## Settings, as in `make run EVENT=events/dry-run.json`:
##   EVENT=FILE           the event (run, drill, invoke): a file or the JSON
##                        itself; events/all.json, for a drill events/drill.json
##   SERVER=NAME          only this server's lines, by its name or id (logs); what
##                        is to be restored (restore)
##   SNAPSHOT=ID          the snapshot, also of a server that is gone; the newest
##                        good one of SERVER (restore)
##   NAME= TYPE= LOCATION=  of the new server, as NAME=sg5-back TYPE=cx33
##                        LOCATION=fsn1; else a name of its own and what fits
##                        (restore)
##   FLEET=trouble        servers that make the night red; `make run` plays its
##                        resume, too. Others: default, 30 (any number),
##                        random:30 (run, drill, up)
##   REAL=1               the real Hetzner API, with the token in HCLOUD_TOKEN (or
##                        in HERTZNER_API_KEY, which is spelled like that); shows
##                        what it would do, then asks;
##                        EVENT=events/dry-run.json only reads (run, drill, up)
##   YES=1                do not ask (deploy, restore, forget, destroy, REAL=1)
##   STOP=1               stop the runs that go on before the removal (destroy)
##   HCLOUD_ENDPOINT=URL  another Hetzner API instead of the simulator, with that
##                        same token; asks first only if the address is Hetzner's
##                        own, which is as REAL=1 (run, drill, up)
##   WAIT_SCALE=X         how long waits really last: 1 on the real API, 1/60 on
##                        the simulator, whose clock is 60 times as fast (run,
##                        drill, up)
##   AWS_PORT=N           port of the local AWS; a free one (run, drill, up)
##   SIMULATOR_PORT=N     port of the simulator; a free one (run, drill, up)
##   CLOUD_DIR=DIR        where run.json, run.html, drill.json and the state of
##                        `make up` are; build
##   POLICY=daily3        the policy that `make plan` shows, for a year of nights
##   SNAPSHOTS=FILE       or for a JSON list of creation times; FORMAT=json for
##                        programs
##   RUNS=1000 SEED=1     how many nights `make chaos` plays, and the first's seed;
##                        a tenth as many days with drills, from the same seed
##   CHANGES=40           how many changes `make mutants` tries in each pure
##                        module, drawn by SEED=1
##   SEEDS=5 FULL=1       nights of each fleet in `make bench`; FULL=1: also fleets
##                        of 500 and 1,000; writes docs/benchmark.md, its pictures
##   REMOVE=1             the addresses that are stored (tell)
##   STACK=NAME           the stack (all that use AWS); hetzner-snapshots
##   REGION=NAME          its AWS region; if not given, that of the first deploy,
##                        or AWS_REGION, or the profile's (AWS_PROFILE=NAME)
##   JSON=1               for programs (status)
##   KEEP_TOKEN=1         forget only what the watch remembers (forget)
##   RUN=ID               a run of the last 90 days (report); the last one
##   PARAMETERS='A=b C=d' parameters of the stack, kept for the next time (deploy);
##                        of the local stack (run, drill, up)
##   SAMCONFIG=FILE       where they are kept, and the account; samconfig.toml
##   PROJECT=NAME         the Hetzner project, a name you choose (token, restore,
##                        forget); for token: default
##   TAG=v0.1.0           the version that `make release` makes
##   AUDIT=required       `make audit` fails if it gets no answer (make check, too)
##   PYTHON=python3       the Python (3.11 or later) that makes the environments

# From here on: how things are made. Each step leaves a file behind and is done again
# only if something it was made from is newer.

setup:
	$(CHECK_PYTHON)
	@$(MAKE) --silent --no-print-directory --jobs=2 .venv/complete .venv-sam/complete

venv:
	$(CHECK_PYTHON)
	@$(MAKE) --silent --no-print-directory .venv/complete

# An environment whose Python is gone or too old is made anew; so is one of another Python than the
# one that is named. Without a name a good one stays, whatever python3 is by now.
define CHECK_PYTHON
@command -v "$$PYTHON" >/dev/null || { printf '%s\n' \
	"$$PYTHON not found. Say which Python to use: make PYTHON=/path/to/python3"; exit 1; }
@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { printf '%s\n' \
	"Python 3.11 or later is needed, $$PYTHON is $$("$$PYTHON" --version 2>&1). Name another:" \
	"make PYTHON=python3.13"; exit 1; }
@wanted=$$("$$PYTHON" -c "$(MINOR)"); for each in .venv .venv-sam; do \
	[ -e $$each/complete ] || [ -L $$each/bin/python ] || continue; \
	had=$$($$each/bin/python -c "$(MINOR)" 2>/dev/null || echo 3.0); \
	case "$$had:$$PYTHON_NAMED" in \
		3.0:*|3.[1-9]:*|3.10:*|2.*) ;; \
		"$$wanted":*|*:) continue ;; \
	esac; \
	echo "$$each is not of Python $$wanted: it is made anew."; rm -rf $$each; \
done
endef
MINOR := import sys; print('%d.%d' % sys.version_info[:2])

.venv/complete: requirements/dev.txt
	$(call ENVIRONMENT,.venv,$<)

.venv-sam/complete: requirements/sam.txt
	$(call ENVIRONMENT,.venv-sam,$<)

# A file that goes changes its folder. So does __pycache__ when Python makes it: that is there before.
.aws-sam/build/template.yaml: template.yaml requirements/runtime.txt requirements/tell.txt \
		handler/Makefile tell/Makefile .venv-sam/complete handler tell/ statemachine \
		$(wildcard handler/*.py handler/*/*.py tell/*.py statemachine/*)
	@mkdir -p build/home build/tmp handler/__pycache__ tell/__pycache__
	@$(MAKE) --no-print-directory --file handler/Makefile package PYTHON=$(PY)
	@$(MAKE) --no-print-directory --file tell/Makefile package PYTHON=$(PY)
	@$(SAM) build >build/sam-build.log 2>&1 || { cat build/sam-build.log; exit 1; }
	@rm -rf build/tmp

define ENVIRONMENT
@echo "Installing $(1) from $(2), once ..."
@"$$PYTHON" -m venv $(1)
@$(1)/bin/python -m $(INSTALL) --requirement $(2)
@touch $@
endef

define SCHEMA
.venv/bin/check-jsonschema --builtin-schema vendor.$(1) .github/$(2)
endef

WITHOUT_BOTO3 := --constraint requirements/dev.txt \
	--no-emit-package boto3 --no-emit-package botocore --no-emit-package s3transfer

define LOCK
build/lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header \
	--python-version 3.11 $(2) \
	--output-file requirements/$(1).txt requirements/$(1).in
endef
