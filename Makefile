# Every target is one line and calls a script in hack/; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: demo test bench fuzz dev down openapi fmt lint help
SHELL := /bin/bash

demo: ## from nothing to a scanned, scored tenant on a development cluster (DEMO_ONCE=1: one JSON line, then take all down)
	@hack/demo.sh

test: ## all that CI runs: format, lints, unit, integration on real systems, UI, charts, end-to-end
	@hack/test.sh

bench: ## every benchmark, or one: make bench BENCH=tenants N=100
	@hack/bench.sh

fuzz: ## fuzz the parsers of host files: make fuzz [TARGET=hive] [SECONDS=600]
	@hack/fuzz.sh "$(or $(TARGET),all)" "$(or $(SECONDS),60)"

dev: ## rebuild one program and restart it in the running demo: make dev PROGRAM=operator|api|agent
	@hack/dev.sh "$(PROGRAM)"

down: ## take a running demo down
	@hack/down.sh

openapi: ## write the API's OpenAPI document and the UI's typed client
	@hack/openapi.sh

fmt: ## format all code
	@hack/fmt.sh

lint: ## format check and lints only
	@hack/lint.sh

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' | expand -t 10
