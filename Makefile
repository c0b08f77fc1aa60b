# The verbs of the house. `make help` lists them.
#   make run CONF=/etc/kurento/kurento.conf.json     start with a configuration of your own
#   make run ARGS="--version"                        any option of the server
#   make test ONLY="golden.test.mjs"                 one file of tests/node
#   make bench ARGS="--help"                         the switches of its last part, the conversions
#   make bench-sfu ARGS="--help"                     the loads, servers and switches of the load tool

SHELL := /bin/bash
CONF ?=
ARGS ?=
ONLY ?=
NODE := tests/node
FFMPEG := libavcodec libavformat libavfilter libavutil libswscale libswresample
CODECS := $(FFMPEG) libvpx libopencore-amrnb libvo-amrwbenc
TREES := $(NODE) $(NODE)/kurento-6.18 $(NODE)/kurento-7.3
# npm writes this file last: a tree is as its lock says when the stamp is newer than the lock.
STAMPS := $(TREES:%=%/node_modules/.package-lock.json)

.DEFAULT_GOAL := help
.PHONY: help run build test lint fmt bench bench-sfu deny build-tools test-packages test-tools

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and start the server on port 8888; CONF=path names a configuration, ARGS=... any options
	cargo run --locked --quiet -- $(if $(CONF),--conf-file $(CONF)) $(ARGS)

build: build-tools ## build the server: target/debug/rivero, also under the name kurento-media-server
	cargo build --locked
	@ln -sf rivero "$${CARGO_TARGET_DIR:-target}/debug/kurento-media-server"

test: build-tools test-tools ## run every test, Rust and browser; ONLY="a.test.mjs" runs files of tests/node alone
	scripts/test.sh $(ONLY)

lint: build-tools ## formatting and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fmt: ## format the Rust sources
	cargo fmt --all

bench: build-tools test-tools ## requests a second and their CPU time; what films and conversions cost beside ffmpeg; ARGS="--seconds 20"
	cargo build --locked
	node $(NODE)/bench-rpc.mjs
	node $(NODE)/bench-films.mjs
	cargo bench --locked -p rivero-codecs --bench conversions -- $(ARGS)

bench-sfu: build-tools ## what a forwarded packet costs, beside Janus and the bare loop; ARGS="--n 100 --servers bare,rivero"
	@scripts/need.sh ip:iproute2 unshare:util-linux janus:janus
	cargo build --locked --release -p rivero -p rivero-bench
	@target="$${CARGO_TARGET_DIR:-target}"; "$$target/release/rivero-bench" --out "$$target/bench-sfu" $(ARGS)

deny: build-tools ## licences and advisories of the dependencies; installs cargo-deny first, which takes minutes
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check

# aws-lc-rs, the cryptography library, compiles C: that is what a C compiler and cmake are for. FFmpeg's headers are read by clang.
build-tools:
	@scripts/need.sh cc:build-essential cmake:cmake pkg-config:pkg-config clang:clang
	@pkg-config --exists $(FFMPEG) vpx opencore-amrnb vo-amrwbenc || scripts/need.sh libclang:libclang-dev $(CODECS:%=none:%-dev)
	@command -v cargo >/dev/null || { echo "Please install Rust 1.93 or later: https://rustup.rs" >&2; exit 1; }

test-packages:
	@scripts/need.sh node:nodejs npm:npm chromium:chromium firefox-esr:firefox-esr ip:iproute2 turnserver:coturn dot:graphviz ffmpeg:ffmpeg gst-launch-1.0:gstreamer1.0-tools
	@/usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null || scripts/need.sh not-a-command:python3-gi not-a-command:gir1.2-gst-rtsp-server-1.0
	@for plugin in opusenc:base rtpbin:good srtpenc:bad openh264enc:bad; do \
	  gst-inspect-1.0 --exists "$${plugin%%:*}" || scripts/need.sh "not-a-command:gstreamer1.0-plugins-$${plugin#*:}"; \
	done

test-tools: test-packages $(STAMPS)

$(NODE)/node_modules/.package-lock.json $(NODE)/kurento-6.18/node_modules/.package-lock.json $(NODE)/kurento-7.3/node_modules/.package-lock.json: %/node_modules/.package-lock.json: %/package.json %/package-lock.json | test-packages
	cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
