# A thin front: the work is done by CMake's presets and by tools/. `make help` lists the targets.
PRESET ?= release
PREFIX ?= /usr/local

.DEFAULT_GOAL := build
.PHONY: help setup build test asan check format docs bench quickstart install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install or list the packages that Thaw is built from
	tools/setup

build: ## configure and build (PRESET=release, debug or asan)
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET)

test: ## set-up, build, check, all tests
	tools/test

asan: ## the same under the address and undefined-behaviour sanitizers
	tools/test asan

check: ## the rules that a script can see; under ten seconds
	tools/check

format: ## lay out all C sources as clang-format 14 does
	git ls-files -co --exclude-standard -- '*.c' '*.h' | xargs clang-format -i

docs: build ## write docs/config.md from the field tables
	cmake --build --preset $(PRESET) --target docs

bench: ## list the benchmarks; BENCH=step ARGS="--rounds 3" runs one
ifdef BENCH
	tools/bench/$(BENCH) $(ARGS)
else
	@cd tools/bench && for f in *; do [ -x $$f ] && sed -n 's/^# //;2p' $$f; done; echo "make bench BENCH=name; tools/bench/README.md"
endif

quickstart: ## from images to a transfer note, on two ranks
	tools/quickstart

install: build ## install the command, the library and its headers (PREFIX=/usr/local)
	cmake --install build/$(PRESET) --prefix $(PREFIX)

clean: ## remove what was built
	rm -rf build
