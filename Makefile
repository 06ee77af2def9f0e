# Everything that is done with this repository. `make` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
GO_TEST = CGO_ENABLED=0 GOFLAGS="$${GOFLAGS:--p=2 -buildvcs=false}" go test
# Arguments for `make run`, e.g. make run ARGS="--listen-client-urls http://127.0.0.1:12379"
ARGS ?=

# For `make build` and everything on it: several members on Dqlite.
DQLITE := --features dqlite

.PHONY: help run cluster build deps format lint doc test peers conformance conformance-server conformance-cluster conformance-dqlite bench microbench instructions clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Serve on 127.0.0.1:2379, with the log in ./taffrail.data
	$(CARGO) run --release --locked -- $(ARGS)

cluster: build ## Serve with three members on loopback, with TLS, in ./taffrail.cluster
	@exec deploy/cluster.sh $(ARGS)

build: deps ## Build the server, optimized, with Dqlite: target/release/taffrail
	$(CARGO) build --release --locked $(DQLITE)

deps: ## Install what the build and the tests need from Debian, and fetch dqlite's source, if missing
	@deploy/install-test-dependencies.sh
	@deploy/fetch-dqlite.sh

format: ## Format the Rust sources
	$(CARGO) fmt --all

lint: deps ## Check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked $(DQLITE) -- -D warnings
	$(CARGO) clippy --locked -- -D warnings

doc: deps ## Check the documentation
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked $(DQLITE)

test: lint doc ## Run everything that needs Rust and Debian's packages only
	$(CARGO) test --workspace --locked $(DQLITE)
	$(MAKE) microbench BENCH="--max-time 0.1 --skip-ext-time true"

peers: ## Build the etcd and etcdctl to compare with (needs Go)
	tests/parity/build.sh

conformance: conformance-server conformance-cluster ## Compare with etcd, and run Kubernetes on it (needs Go)

conformance-server: build peers ## One server: compared on SQLite and on Dqlite, Kubernetes on SQLite
	cd tests/parity && $(GO_TEST) ./... -count=1 -timeout=30m
	cd tests/parity && $(GO_TEST) ./... -count=1 -timeout=30m -backend=dqlite
	tests/kubernetes/test.sh

conformance-cluster: build peers ## Three members, of which one is asked, one killed, one out of reach
	cd tests/parity && $(GO_TEST) ./... -count=1 -timeout=30m -members=3
	tests/kubernetes/test.sh -members=3

conformance-dqlite: build ## Kubernetes on one server with its log on Dqlite
	tests/kubernetes/test.sh -backend=taffrail-dqlite

bench: build peers ## Measure against etcd, side by side
	$(CARGO) run --release --locked -p taffrail-loadtest -- compare --with etcd

# Arguments for `make microbench`, e.g. make microbench BENCH="decide"; divan's own, `--help` lists them.
BENCH ?= --max-time 2 --skip-ext-time true
MICROBENCHES := --bench rules --bench append --bench fan_out --bench encode

microbench: deps ## Measure the hot parts one by one, with this machine's time (make microbench BENCH=decide)
	$(CARGO) bench --locked $(addprefix -p taffrail-,model journal actors proto) $(MICROBENCHES) -- $(BENCH)

instructions: ## Count the instructions of the rules' hot parts, where time is noise (needs valgrind)
	$(CARGO) build --release --locked -p taffrail-model --example instructions
	deploy/instructions.sh target/release/examples/instructions

clean: ## Remove what was built; .cache keeps what others built for us
	$(CARGO) clean
