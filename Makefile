# The two commands: `make demo` and `make test`. Both install what is missing first.
.DEFAULT_GOAL := help
.PHONY: help demo test run bench bench-peers lint screenshots

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## everything at once: a Redis, the log server, four services and their users; Ctrl-C stops it
	@tests/install.sh demo
	@cargo build --release --locked --bins
	@target/release/demo

test: ## every test: Rust, the page's JavaScript, real Redis, real processes, real browser, real Python
	@tests/install.sh test
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --no-fail-fast
	node --test web/test/*.test.js

run: ## the log server alone; options as in `make run ARGS="--data /var/lib/logs"`
	@tests/install.sh demo
	cargo run --release --locked -p log-server -- $(ARGS)

bench: ## the benchmarks; nothing else should run beside them
	@tests/install.sh test
	cargo build --profile dist --locked -p log-server
	cargo bench --profile dist --locked --workspace --benches

bench-peers: ## the whole beside VictoriaLogs, whose binary VICTORIA_LOGS names; tests/benches/peers says what else can be set
	@tests/install.sh demo
	cargo build --profile dist --locked -p log-server
	cargo bench --profile dist --locked -p e2e --bench peers

screenshots: ## the pictures of this README, taken of the demo
	@tests/install.sh test
	cargo build --release --locked --bins
	cargo bench --locked -p e2e --bench screenshots

lint: ## formatting, clippy, docs, the page's types, and the licences if cargo-deny is there
	@tests/install.sh lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
	cd web && npm install --no-save --no-package-lock --silent && npx tsc -p jsconfig.json
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; fi
