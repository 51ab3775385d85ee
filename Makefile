# What one can do here. "make" lists it.

# The environment, a key of "environments" in cdk.json: make synth ENV=prod
ENV ?= dev

# The fault that make rehearse plays
FAULT ?= region-loss

# Further flags of the command behind a target: make rehearse ARGS="--speed 20"
ARGS ?=

# What make diff and make review compare with, a branch or a commit.
BASE ?=

# What npm writes when all is there: an installation that was broken off is done again.
PACKAGES := node_modules/.package-lock.json
CDK := node_modules/.bin/cdk
ASSEMBLY := cdk.out

# The tools for tests and releases have a module of their own.
TOOL := go tool -modfile=tools/go.mod

# The race detector needs a C compiler, and Go says whether it found one.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

.DEFAULT_GOAL := help
.PHONY: help rehearse drill soak synth build recovery-time cost bench test lint generate sbom licenses deploy accept diff review destroy clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

synth: $(PACKAGES) ## Write the CloudFormation templates, with the functions' code, to cdk.out
	$(CDK) synth --quiet --context env=$(ENV) --output $(ASSEMBLY)
	@go run ./cmd/dr --assembly $(ASSEMBLY) stacks

build: ## Build the operator's tool, bin/dr
	go build -o bin/dr ./cmd/dr

rehearse: synth ## Lose a Region on this machine, fail over and back, and prove what was lost: make rehearse FAULT=flapping
	go run ./cmd/dr --assembly $(ASSEMBLY) rehearse --fault $(FAULT) $(ARGS)

drill: synth ## Run a drill against both Regions on this machine: make drill ARGS="--hypothesis docs/operate/drills/steady.yaml"
	go run ./cmd/dr --assembly $(ASSEMBLY) drill --hypothesis docs/operate/drills/planned-switchover.yaml --simulated $(ARGS)

soak: synth ## Rehearse every fault, and chaos with twenty seeds: an hour and more
	go run ./cmd/dr --assembly $(ASSEMBLY) soak --rate 6 $(ARGS)

recovery-time: synth ## Add up how long a recovery takes
	@go run ./cmd/dr --assembly $(ASSEMBLY) recovery-time

cost: synth ## Add up what a month and what a million payments cost
	@go run ./cmd/dr --assembly $(ASSEMBLY) cost --env $(ENV)

bench: synth ## Measure synthesis, functions and ledger, each beside a floor that it is held to
	@go run ./cmd/dr --assembly $(ASSEMBLY) bench $(ARGS)

# Packages with tests. "go test" compiles packages without tests too, and the CDK's take a minute with the race detector.
tested = $(shell go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' $(1))

# What runs concurrently runs under the race detector. The rest compares files.
SEQUENTIAL := . ./constructs ./docs ./internal/assembly/... ./internal/settings/...
# Rehearsals play time on this machine, and another package beside them makes health checks and retries late.
ALONE := ./internal/drill/rehearsal
CONCURRENT = $(filter-out $(call tested,$(SEQUENTIAL) $(ALONE)),$(call tested,./...))

# As go test, with the failures once more at the end.
GO_TEST := $(TOOL) gotestsum --format standard-quiet --

# Most tests of commands wait for most of their time, so many of one package run at a time. make lint vets.
test: $(PACKAGES) ## Run all tests, including those of the real function binaries
	$(GO_TEST) $(RACE) -vet off -parallel 6 -timeout 20m $(CONCURRENT)
	$(GO_TEST) $(RACE) -vet off -parallel 6 -timeout 20m $(ALONE)
	$(GO_TEST) -vet off -timeout 20m $(call tested,$(SEQUENTIAL))

lint: $(PACKAGES) ## Check format, code and templates
	@unformatted=$$(gofmt -l app.go app_test.go cmd constructs docs functions internal stacks); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go tool actionlint .github/workflows/*.yml
	./scripts/lint-templates $(CDK)

generate: $(PACKAGES) ## Write everything that is generated: golden templates, tables and pictures of the documents, the tool's manual
	go run ./cmd/dr man --markdown docs/operate/dr.md
	go test . ./internal/assembly/review -count 1 -timeout 30m -run '^(TestGeneratedFilesAreCurrent|TestEverySettingsChangeIsKnown)$$' -update

sbom: $(PACKAGES) ## Write what the app and its tools consist of, as CycloneDX, to sbom
	@mkdir -p sbom
	$(TOOL) cyclonedx-gomod mod -json -output sbom/go.cdx.json .
	npm sbom --sbom-format cyclonedx >sbom/npm.cdx.json
	@ls sbom/*.cdx.json

licenses: ## Check that no dependency's licence forbids what is done with it
	$(TOOL) go-licenses check --disallowed_types=forbidden,restricted,unknown ./functions/... ./cmd/dr .

deploy: synth ## Deploy the three stacks, after finding out whether that can end well
	go run ./cmd/dr --assembly $(ASSEMBLY) preflight
	go run ./cmd/dr --assembly $(ASSEMBLY) deploy

accept: synth ## Deploy an environment of its own, use it, destroy it, and report what was seen; it costs money: make accept ENV=dev ARGS=--clean-up
	go run ./cmd/dr --assembly $(ASSEMBLY) accept --env $(ENV) $(ARGS)

diff: synth ## Show what a deployment would change: of what is deployed with credentials, of the base branch without, or with BASE=origin/main
	@go run ./cmd/dr --assembly $(ASSEMBLY) diff --base "$(BASE)"

review: ## Write what the commits of this branch change, as a pull request's comment has it: make review BASE=origin/main
	@go run ./cmd/dr review --base "$(or $(BASE),origin/main)"

destroy: $(PACKAGES) ## Delete the three stacks, in the order that Aurora needs
	$(CDK) destroy --context env=$(ENV) --all

clean: ## Remove what was generated
	rm -rf $(ASSEMBLY) .synthesized .venv node_modules

$(PACKAGES): package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@
