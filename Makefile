# Every command a reader of this tree needs. `make help` lists them; `make check` is what CI runs.

CARGO ?= cargo
BUILD := $(CARGO) build --release --locked
SQUALL := $(or $(CARGO_TARGET_DIR),target)/release/squall

.DEFAULT_GOAL := help
.PHONY: help release demo demo-broken demo-livekit test fmt lint doc check bench nightly

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

release: ## build the optimised binary
	$(BUILD)

demo: release ## about 90 s: rooms under load while their store is slow; squall says PASS
	$(SQUALL) run profiles/steady-mix.yaml --chaos chaos/store-latency.yaml

demo-broken: release ## lists come in on a sandbox that has no limit for them; squall must say FAIL (exit 99)
	scripts/expect-fail.sh $(SQUALL) run profiles/unbounded-list.yaml --chaos chaos/store-latency.yaml --sandbox-flaw unbounded_list

demo-livekit: release ## a real LiveKit server with two nodes and Redis; squall must say FAIL for what lists do to CreateRoom
	scripts/demo-livekit.sh $(SQUALL)

test: ## run the tests
	$(CARGO) test --locked

fmt: ## is the code formatted?
	$(CARGO) fmt --check

lint: ## clippy, every warning an error
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc: ## the API documentation, every warning an error
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps

# In order, cheapest first, also under `make -j`: two cores gain nothing from cargo waiting on cargo.
check: ## all that CI checks: formatting, clippy, tests, documentation
	@$(MAKE) --no-print-directory fmt
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory doc

bench: release ## requests per second and client CPU beside wrk, and how late squall sends at 20,000/s
	benches/run.sh $(SQUALL)

nightly: check ## check, the demos, and the benchmark: what takes too long for every change
	@$(MAKE) --no-print-directory demo
	@$(MAKE) --no-print-directory demo-broken
	@$(MAKE) --no-print-directory demo-livekit
	@$(MAKE) --no-print-directory bench
