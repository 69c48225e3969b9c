# Every command a reader of this tree needs. `make help` lists them; `make check` is what CI runs.

CARGO ?= cargo
BUILD := $(CARGO) build --release --locked
SQUALL := $(or $(CARGO_TARGET_DIR),target)/release/squall

.DEFAULT_GOAL := help
.PHONY: help release demo demo-broken demo-livekit test test-virtual test-sockets
.PHONY: fmt lint doc check bench healthy properties long nightly

# Whole runs without sockets; then what mostly waits for processes, twelve at a time; then what measures, and shares the
# cores with little (three at a time, and what needs them alone by itself).
VIRTUAL := virtual_time shipped tidy
WAITS := processes livekit
MEASURES := sockets bounds
# Of those that wait, what measures a moment to the microsecond.
MOMENT := a_connection_that_closes_as_it_is_used_again
HEALTHY ?= 20
CASES ?= 2000

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

test: ## run all tests, under twelve minutes with a cold build on two cores
	@$(MAKE) --no-print-directory test-virtual
	@$(MAKE) --no-print-directory test-sockets

test-virtual: ## the library's own tests and whole runs in virtual time: under three minutes
	$(CARGO) test --locked --lib --bins $(addprefix --test ,$(VIRTUAL))

test-sockets: ## the tests on real processes and sockets
	RUST_TEST_THREADS=12 $(CARGO) test --locked $(addprefix --test ,$(WAITS)) -- --skip $(MOMENT)
	RUST_TEST_THREADS=1 $(CARGO) test --locked --test sockets --test processes -- alone:: $(MOMENT)
	RUST_TEST_THREADS=3 $(CARGO) test --locked $(addprefix --test ,$(MEASURES)) -- --skip alone::

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

healthy: release ## HEALTHY=20 short demos on a sound sandbox, two cores: none FAIL, none INVALID
	scripts/healthy.sh $(SQUALL) $(HEALTHY)

properties: ## CASES=2000 other histories for each property of the judge, and an eighth as many scenes
	PROPTEST_CASES=$(CASES) $(CARGO) test --locked --release --lib verdict::tests::

long: ## a day in virtual time, minutes at 5,000/s: memory, and what judge and report cost
	$(CARGO) test --locked --release --test bounds -- --ignored --nocapture

nightly: check ## check, what tests forgave, the demos, long runs and the benchmark: too long for every change
	scripts/forgiven.sh 3 2 $(MAKE) --no-print-directory test-sockets
	@$(MAKE) --no-print-directory healthy
	@$(MAKE) --no-print-directory properties
	@$(MAKE) --no-print-directory long
	@$(MAKE) --no-print-directory demo
	@$(MAKE) --no-print-directory demo-broken
	@$(MAKE) --no-print-directory demo-livekit
	@$(MAKE) --no-print-directory bench
