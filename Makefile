# What people type. Everything runs from .venv, which `make setup` makes with what every Python 3.11 brings: venv and
# pip. Versions and hashes come from requirements/.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OLDER  := .venv-older
QUIX   := .venv-quix
STAMP  := $(VENV)/.setup-complete
CODE   := cli.py commands schemas pipeline agents sinks dashboard release tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help setup demo live-demo broker test test-older simulate-faults soak fuzz check types bench bench-quix docs screenshots messages vendor format lock build release audit endurance clean

help:  ## show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv with the bypassflow command in it
	@echo "ready: $(BIN)/bypassflow --help"

# An existing .venv is adopted; a broken one, or one of an older Python, is made anew. The stamp is renewed when the locks change.
$(STAMP): pyproject.toml requirements/runtime.txt requirements/development.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with: make setup PYTHON=python3.11")'
	@$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

demo: $(STAMP)  ## four simulated weeks of a company: simulate, replay, report, explain, evaluate
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash benchmarks/demo.sh demo

live-demo: $(STAMP)  ## a simulated week through Kafka: broker, agents, sink, and the report while it changes
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash benchmarks/live_demo.sh live-demo

broker: $(STAMP)  ## run a broker on a free port of this machine until Ctrl-C, and print its address
	@$(BIN)/python -m agents.broker

test: $(STAMP)  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

# In an environment of its own.
test-older: requirements/duckdb-1.5.txt  ## run the tests of engine and store with the oldest DuckDB
	$(PYTHON) -m venv --clear $(OLDER)
	$(OLDER)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/duckdb-1.5.txt
	BYPASSFLOW_CASES=25 $(OLDER)/bin/python -m pytest -n 2 --dist worksteal tests/properties $(wildcard tests/unit/test_store*.py)

# A failing seed prints the command that repeats it. ENGINE=real takes seconds for a seed, the model a fraction of one.
simulate-faults: $(STAMP)  ## run the live pipeline under faults, by seed (SEEDS=50000 ENGINE=model)
	$(BIN)/python -m tests.simulation.simulator --seeds $(SEEDS) --engine $(ENGINE)
SEEDS  := 1000
ENGINE := model

soak: $(STAMP)  ## kill the live pipeline's processes and broker while a company streams in (MINUTES=20 SEED=1)
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED)
MINUTES := 20
SEED    := 1

fuzz: $(STAMP)  ## damaged files before every parser (SECONDS=300 for each)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)
SECONDS := 300

check: $(STAMP)  ## format, lint, types, layers, locks, paths
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(MAKE) --no-print-directory types
	$(BIN)/lint-imports
	@bash .ci/tidy

types: $(STAMP)  ## check the types
	$(BIN)/mypy $(wildcard $(CODE))

bench: $(STAMP) bench-quix  ## speed, processor time and memory of replay and live, against stated references
	$(BIN)/python -m benchmarks

# A reference for the live path, in an environment of its own; without it the other figures are measured all the same.
bench-quix: requirements/quix.txt
	@[ -e $(QUIX)/.complete -a ! requirements/quix.txt -nt $(QUIX)/.complete ] || { \
	  $(PYTHON) -m venv --clear $(QUIX) && \
	  $(QUIX)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/quix.txt && \
	  touch $(QUIX)/.complete; } || echo 'no environment for Quix Streams; its reference will be missing' >&2

docs: $(STAMP)  ## write the generated pages of docs/reference
	$(BIN)/python docs/generate.py

screenshots: $(STAMP)  ## make pictures of all pages in screenshots/, and those of the README; needs chromium
	PYTHONPATH=. $(BIN)/python docs/screenshots.py screenshots

# New messages are empty in the catalogue until somebody translates them; a test tells which.
messages: $(STAMP)  ## renew the pages' catalogues of messages from the code
	$(BIN)/pybabel --quiet extract --mapping-file dashboard/translations/babel.cfg --no-location --sort-output \
	  --keyword say --keyword say_many:1,2 --keyword many:1,2 --keyword sentence \
	  --output-file dashboard/translations/.pot dashboard pipeline sinks
	$(BIN)/pybabel --quiet update --input-file dashboard/translations/.pot --output-file dashboard/translations/fi.po \
	  --locale fi --no-wrap --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	sed -i '/^"\(Report-Msgid\|POT-Creation\|PO-Revision\|Last-Translator\|Language-Team\|Generated-By\)/d' dashboard/translations/fi.po
	rm dashboard/translations/.pot

vendor: $(STAMP)  ## take the scripts of others that the pages load anew, as dashboard/vendored.py names them; needs npm
	$(BIN)/python -m dashboard.vendored

format: $(STAMP)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Hashes pin the content; no line of a lock says where it was downloaded from.
lock: $(STAMP)  ## compile requirements/ from pyproject.toml (UPGRADE=--upgrade for newer versions)
	$(BIN)/uv pip compile --quiet pyproject.toml --output-file requirements/runtime.txt $(LOCK) $(UPGRADE)
	$(BIN)/uv pip compile --quiet pyproject.toml --group development --output-file requirements/development.txt $(LOCK) $(UPGRADE) \
	  --constraint requirements/runtime.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --group test --output-file requirements/duckdb-1.5.txt $(LOCK) $(UPGRADE) \
	  --constraint requirements/duckdb-1.5.in
	$(BIN)/uv pip compile --quiet requirements/quix.in --output-file requirements/quix.txt $(LOCK) $(UPGRADE)
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

build: $(STAMP)  ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist .

# Of the same commit everybody builds the same bytes; needs no network.
release: $(STAMP)  ## build wheel, source, bill of materials and checksums into dist/VERSION
	$(BIN)/python -m release dist/$$($(BIN)/python -c 'from commands.application import __version__; print(__version__)')

# Asks PyPI for advisories, and fails with another exit code when it cannot be asked.
audit: $(STAMP)  ## are weaknesses known of what bypassflow runs with? needs the internet
	$(BIN)/python -m release.audit requirements/runtime.txt

endurance: $(STAMP)  ## an hour of the live pipeline with kills and Prometheus, and a picture of it (MINUTES=60 RATE=1000)
	$(BIN)/python -m benchmarks.endurance $(MINUTES) $(RATE) docs/pictures/endurance.png $(SEED)
endurance: MINUTES := 60
RATE := 1000

clean:  ## remove what the targets made, .venv too
	rm -rf $(VENV) $(OLDER) $(QUIX) dist demo live-demo screenshots .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
