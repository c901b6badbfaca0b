# One interface for users, developers and CI; `make` lists the targets. The logic is in deploy/local.
SHELL := bash
.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON ?= $(VENV)/bin/python
export PYTHON := $(if $(filter /%,$(PYTHON)),$(PYTHON),$(CURDIR)/$(PYTHON))
export DATA_DIR PORT_OFFSET SECURE FEED_RECORDING FEED_SESSION FEED_SPEED FEED_TIMES INSTRUMENT TIMEOUT S LINES FOLLOW
LOCAL := $(PYTHON) -m deploy.local
PARTS := tests/spark tests/feed tests/security/test_servers.py
BESIDE_STACK := tests/unit $(PARTS)
PAGES := $(wildcard *.md docs/*.md docs/decisions/*.md)

.PHONY: help setup python java kerberos chromium artifacts lock demo up stop status logs wait rotate clean shell check docs test test-unit test-parts test-security test-e2e bench chaos chaos-short fuzz soak audit

help: ## List the targets and variables
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables, for example make demo DATA_DIR=/tmp/second PORT_OFFSET=10000:\n'
	@awk -F'## ' '/^## / {print "  " $$2}' $(MAKEFILE_LIST)

## DATA_DIR=.data          where the stack keeps everything; one stack a directory
## PORT_OFFSET=0           added to every port, so that two stacks run side by side
## SECURE=no               yes: logins, TLS and access control on every server (docs/SECURITY.md)
## INSTRUMENT=KEY[,KEY]    instrument keys, for example 'NSE_EQ|INE467B01029'
## FEED_RECORDING=FILE     demo: replay this recording instead of the simulated market
## FEED_SESSION=DATE       demo: a whole simulated session of that date, or from a time on: 2025-12-15T13:00
## FEED_SPEED=1            demo: how many times faster than real time
## FEED_TIMES=original     demo: a recording's own times, or moved to now
## TIMEOUT=300             demo, up, wait: seconds until what is not healthy is named
## S=SERVICE LINES=50      logs: one service; FOLLOW=no prints and ends

# Steps that do not need one another run side by side. pyspark comes first of all, since its Ivy fetches the JVM artifacts.
setup: ## Install everything that runs: Python packages, Java, JVM artifacts (demo and up do it, too)
	@$(MAKE) --no-print-directory --jobs=4 java artifacts python $(if $(filter yes,$(SECURE)),kerberos)

ifeq ($(PYTHON),$(CURDIR)/$(VENV)/bin/python)
$(VENV)/.created: requirements.txt
	@deploy/install-python $(VENV) create
	@touch $@
$(VENV)/.pyspark: $(VENV)/.created constraints.txt
	@deploy/install-python $(VENV) pyspark
	@touch $@
$(VENV)/.packages: $(VENV)/.created constraints.txt
	@deploy/install-python $(VENV) packages
	@touch $@
$(VENV)/.complete: $(VENV)/.pyspark $(VENV)/.packages
	@deploy/install-python $(VENV) complete
	@touch $@
$(VENV)/.tools: $(VENV)/.complete requirements-dev.txt
	@deploy/install-python $(VENV) tools
	@touch $@
else
$(VENV)/.pyspark $(VENV)/.complete $(VENV)/.tools:
	@true
endif

python: $(VENV)/.complete
	@true

java:
	@deploy/install-java

kerberos: $(VENV)/.complete
	@deploy/install-kerberos $(VENV)

chromium:
	@deploy/install-chromium

artifacts: $(VENV)/.pyspark java
	@deploy/fetch-artifacts

lock: setup ## After a change of deploy/ivy.xml: work out its jars and write deploy/artifacts.lock
	@. deploy/env.sh && $(PYTHON) -m deploy.artifacts lock

demo: setup ## Start everything on a simulated market: no account, no token
	@$(LOCAL) demo

up: setup ## Start everything on the live Upstox feed (needs UPSTOX_ACCESS_TOKEN)
	@$(LOCAL) up

stop: ## Stop everything; the data is kept
	@$(LOCAL) stop

status: ## Show each service's process, health and memory
	@$(LOCAL) status

logs: ## Follow the logs of all services, or of one: S=processor
	@$(LOCAL) logs

wait: ## Return 0 once everything is healthy, else name what is not after TIMEOUT seconds
	@$(LOCAL) wait

rotate: ## Secure profile: new certificate and password for a service, and its restart: S=plotter, or S=spark
	@$(LOCAL) rotate

clean: ## Stop everything and delete DATA_DIR
	@$(LOCAL) clean

shell: $(VENV)/.complete ## A shell in which hdfs, kafka-topics.sh, spark-submit and python3 are the stack's
	@PATH="$(CURDIR)/bin:$$PATH" exec $${SHELL:-bash}

check: $(VENV)/.tools ## Format, lint, types of Python and of the page, shell scripts, container files, documentation
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m docs.reference --check
	$(dir $(PYTHON))shellcheck deploy/*.sh deploy/install-* deploy/fetch-artifacts deploy/check-* deploy/launch/* deploy/health/* bin/*
	$(dir $(PYTHON))yamllint --strict docker-compose.yml deploy/compose.secrets.yml deploy/compose.secure.yml .yamllint.yml
	$(dir $(PYTHON))hadolint Dockerfile
	$(PYTHON) -m pymarkdown scan $(PAGES)
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build
	@deploy/check-compose
	@deploy/check-page

audit: setup $(VENV)/.tools ## List what the product is made of (sbom.json) and check it for known vulnerabilities; works offline
	@$(PYTHON) -m deploy.audit sbom.json

docs: $(VENV)/.tools ## Build the documentation as a site, into .cache/site
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build
	@echo "open .cache/site/index.html"

test: setup $(VENV)/.tools chromium ## All tests; sets up what it needs. A stack mostly waits: the others run beside it
	$(PYTHON) -m pytest tests/browser
	@mkdir -p .cache
	@echo "$(PYTHON) -m pytest $(BESIDE_STACK) >.cache/tests.log &"
	@$(PYTHON) -m pytest $(BESIDE_STACK) >.cache/tests.log 2>&1 & others=$$!; \
	$(PYTHON) -m pytest tests/e2e; failed=$$?; \
	wait $$others || failed=$$?; cat .cache/tests.log; exit $$failed

test-unit: $(VENV)/.tools ## The fast tests
	$(PYTHON) -m pytest tests/unit

test-parts: setup $(VENV)/.tools chromium ## Spark transforms, the feed client, secured servers and the page, each by itself
	$(PYTHON) -m pytest $(PARTS) tests/browser

test-security: setup kerberos $(VENV)/.tools ## The secure profile's servers in full: also encryption, rotation and Spark
	$(PYTHON) -m pytest tests/security

test-e2e: setup $(VENV)/.tools chromium ## The tests on a whole stack of real services
	$(PYTHON) -m pytest tests/e2e

bench: setup $(VENV)/.tools ## Run a benchmark: B=accuracy; without B, list them
	@if [[ -n "$(B)" ]]; then $(PYTHON) benchmarks/$(B).py $(ARGS); else sed -sn '1s/^"""//p' benchmarks/*.py; ls benchmarks/*.py; fi

chaos-short: setup $(VENV)/.tools ## Poison on every topic and six kills on a stack of its own
	$(PYTHON) -m pytest tests/e2e/test_5_faults.py

chaos: setup $(VENV)/.tools ## Inject faults into a stack of its own and check that nothing is lost: FAULTS=200 SEED=1 MINUTES=240
	@PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(PYTHON) -m chaos.campaign

fuzz: setup $(VENV)/.tools ## A million mutated ticks through the transforms, and long runs of the decoder's properties
	POISON_ROWS=1000000 FUZZ_EXAMPLES=20000 $(PYTHON) -m pytest tests/spark/test_poison.py tests/unit/test_poison_engine.py tests/unit/test_fuzz_decode.py

soak: setup $(VENV)/.tools ## Memory, files and disk under an hour of load: MINUTES=60 INSTRUMENTS=200
	@$(PYTHON) benchmarks/soak.py $(ARGS)
