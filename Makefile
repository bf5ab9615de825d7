# Every target does all of its own set-up in .venv, from the hash-pinned requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# as many test processes as processors
JOBS ?= auto

.PHONY: docs audit coverage dist installed sbom browser screenshots demo test test-long test-all check lint types fuzz bench bench-pixels golden lock clean

demo: $(VENV)/ready
	@rm -rf demo
	@$(BIN)/curate demo demo

test: export CURATE_FUZZ_SECONDS ?= 60
test: $(VENV)/ready browser
	$(PYTEST) -n $(JOBS) -m "not long"

# what the tests of the pages need: Chromium from Debian, axe-core from npm; where neither can be had they skip
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
		echo "no Chromium: the tests of the pages will skip" >&2
	@test -f tests/pages/node_modules/axe-core/axe.min.js || ! command -v npm >/dev/null || \
		npm ci --prefix tests/pages --silent --no-audit --no-fund || echo "no axe-core: the tests of the pages will skip" >&2

# every test with every parameter; hours
test-all: export CURATE_FUZZ_SECONDS ?= 600
test-all: $(VENV)/ready browser
	$(PYTEST) -n $(JOBS) --dist worksteal --all-parameters --durations=25

test-long: $(VENV)/ready
	$(PYTEST) -n $(JOBS) --dist worksteal -m long --durations=25

check: lint types test

lint: $(VENV)/ready
	$(BIN)/ruff check curate tests benchmarks docs
	$(BIN)/ruff format --check --quiet curate tests benchmarks

types: $(VENV)/ready
	$(BIN)/mypy

fuzz: $(VENV)/ready
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600)

bench: $(VENV)/ready
	$(BIN)/python -m benchmarks.main_job

bench-pixels: $(VENV)/ready
	$(BIN)/python -m benchmarks.pixels
	$(BIN)/python -m benchmarks.faces

# branches that the fast tests take, of each module; the figures of what commands and workers do are among them
coverage: export CURATE_FUZZ_SECONDS ?= 60
coverage: $(VENV)/ready browser
	@rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/python -m coverage run -m pytest -n $(JOBS) -m "not long"
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage html --quiet --directory build/coverage/html
	$(BIN)/python -m coverage report

# wheel and source distribution, the same wherever they are built, with the bill of materials (CycloneDX) beside them
dist: $(VENV)/ready
	@rm -rf dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(BIN)/python -m hatchling build -t wheel -t sdist -d dist
	$(BIN)/python -m tests.supply.sbom dist

# the wheel in an empty environment, with the dependencies that it states at the pinned versions: the demo runs there
installed: dist
	@rm -rf build/installed && mkdir -p build
	@sed -nE 's/^([A-Za-z0-9][^ ]*==[^\\]*[^ \\]) *\\?$$/\1/p' requirements.lock > build/constraints.txt
	$(PYTHON) -m venv build/installed/venv
	build/installed/venv/bin/python -m pip install --quiet --disable-pip-version-check -c build/constraints.txt dist/*.whl
	cd build/installed && venv/bin/curate demo demo
	@rm -rf build/installed

sbom: $(VENV)/ready
	$(BIN)/python -m tests.supply.sbom sbom.cdx.json

# what is known of the pinned versions, by the package index's own data
audit: $(VENV)/ready
	$(BIN)/python -m tests.supply.audit

golden: $(VENV)/ready
	$(BIN)/python -m tests.regenerate_golden

# the site of the documentation, in build/docs; a link that leads nowhere, or any other warning, is an error
docs: $(VENV)/ready
	$(BIN)/python -m tests.regenerate_docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

# the pictures of the README, of the three sites on the demo archive
screenshots: $(VENV)/ready browser
	$(BIN)/python -m tests.pages.screenshots docs/pictures

# resolve the dependencies anew; needs uv
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group dev --extra cluster --extra pixels \
		pyproject.toml -o requirements.lock

$(VENV)/ready: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		echo "Python cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) demo build dist
