# Two commands do everything: `make demo` runs the main job, `make test` the tests.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo run test check format lint types contracts drift schema migration lock bench bench-check bench-status bench-eligibility bench-credentials bench-printing clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make .venv with the command `citycard`

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP) ## migrate, fill the demo city, serve it, say where to look: make demo port=8080
	$(BIN)/citycard demo $(if $(port),--port $(port))

run: $(STAMP) ## migrate and serve with the settings of .env
	$(BIN)/citycard migrate
	$(BIN)/citycard serve

test: $(STAMP) ## all tests, on SQLite and on PostgreSQL (brings its own)
	$(BIN)/pytest -q -n 2 --dist loadgroup

format: $(STAMP) ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP) ## the road runs one way
	$(BIN)/lint-imports

drift: $(STAMP) ## openapi.yaml and the migrations say what the code says
	$(BIN)/citycard schema --check
	$(BIN)/citycard migrate --check

check: lint types contracts drift test ## all that CI does

schema: $(STAMP) ## write openapi.yaml
	$(BIN)/citycard schema

migration: $(STAMP) ## write a migration: make migration m="add venues"
	$(BIN)/citycard migration "$(m)"

lock: $(STAMP) ## pin every dependency anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev pyproject.toml -o requirements.txt

bench: bench-check bench-status bench-eligibility bench-credentials bench-printing ## every benchmark

bench-check: $(STAMP) ## scan to answer, side by side with its yardsticks
	$(BIN)/python -m bench.check

bench-status: $(STAMP) ## a flipped status until it is in a freshly signed list, beside zlib and npm
	$(BIN)/python -m bench.status

bench-eligibility: $(STAMP) ## a whole city: make bench-eligibility persons="19000 190000 1900000"
	$(BIN)/python -m bench.eligibility --persons $(or $(persons),5000)

bench-credentials: $(STAMP) ## issue and verify: make bench-credentials city=190000
	$(BIN)/python -m bench.credentials --city $(or $(city),20000)

bench-printing: $(STAMP) ## a city's cards on paper: make bench-printing cards=190000
	$(BIN)/python -m bench.printing --cards $(or $(cards),2000)

clean: ## forget the environment and the demo's data
	rm -rf .venv var .mypy_cache .ruff_cache
