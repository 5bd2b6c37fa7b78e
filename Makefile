# Two commands do it all: `make demo` and `make test`. Each sets up .venv by itself.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
WEB := tests/kan_model/lowering tests/service/client
# How many processes share the tests. 3 are best on two cores, because tests also wait; 0 means pytest's own alone.
WORKERS ?= 3
# pip alone would be silent, and look as if it hung.
SAY := @echo "make: pip installs packages into .venv, up to several gigabytes. It takes minutes, and prints nothing."
export ORT_DISABLE_TELEMETRY := 1
# The tests start hundreds of processes. Each would compile our modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo docs test test-deploy test-faults test-install test-slow test-web bench bench-access bench-attribution bench-serving bench-tables bench-tracing bench-training check format proto deploy clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.installed-train  ## Train on digits, export, serve, call, measure; then stop (about a minute)
	$(BIN)/python deploy/demo.py

docs: .venv/.installed-docs  ## Build the documentation site in site/; python3 -m http.server -b 127.0.0.1 -d site shows it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python -m pytest -m docs tests/docs

test: .venv/.installed-test  ## Run every quick test that needs no Docker or Node (12 to 14 minutes on two cores; WORKERS=3 processes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# Each of its processes collects the tests: the files that do not name the mark would take as long as those that do.
test-slow: .venv/.installed-test  ## Run the tests that train for long or start many processes (WORKERS=3 processes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m slow $$(grep -rl --include='test_*.py' mark.slow tests | sort)

test-faults: .venv/.installed-faults  ## Servers under load and in trouble: swaps, overload, stuck clients, lost files (10 minutes)
	$(BIN)/python -m pytest -m faults tests/faults

test-deploy: .venv/.installed-deploy  ## Run what deploy/ holds: containers, Prometheus, Alertmanager, Envoy, manifests (5 minutes)
	$(BIN)/python -m pytest -m deploy tests/deploy tests/service/conformance

test-install: .venv/.installed-test  ## Install the wheel with [serve] and [client] alone and try it
	$(BIN)/python -m pytest -m install tests/e2e

test-web: .venv/.installed-test $(WEB:=/node_modules/.installed)  ## Run graphs and clients in JavaScript; wants node and npm
	$(BIN)/python -m pytest -m web $(WEB)

bench: .venv/.installed-bench  ## Measure the lowering against its peers (10 minutes)
	$(BIN)/python -m benchmarks.lowering

bench-attribution: .venv/.installed-bench  ## Measure attribution.onnx beside model.onnx, KernelSHAP and exact Shapley values (5 minutes)
	$(BIN)/python -m benchmarks.attribution

bench-serving: .venv/.installed-bench  ## Measure the server against its peers, which it installs (12 minutes)
	$(BIN)/python -m benchmarks.serving

bench-access: .venv/.installed-bench  ## Measure what TLS and tokens cost a request, on both front ends (10 minutes to an hour)
	$(BIN)/python -m benchmarks.access

bench-tracing: .venv/.installed-bench  ## Measure what traces cost a request, on both front ends (10 minutes to an hour)
	$(BIN)/python -m benchmarks.tracing

bench-tables: .venv/.installed-bench  ## Measure the default recipe's models against their peers on real tables (hours; it goes on where it stopped)
	$(BIN)/python -m benchmarks.tables

bench-training: .venv/.installed-bench  ## Measure a training step against its peers (3 minutes)
	$(BIN)/python -m benchmarks.training

check: .venv/.installed-dev  ## Format, lint, types, import contracts, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python proto/generate.py --check
	$(BIN)/python deploy/kubernetes/monitoring.py --check
	$(BIN)/python deploy/kubernetes/helm/schema.py --check
	$(BIN)/python deploy/envoy/variants.py --check
	$(BIN)/python deploy/grafana/dashboards.py --check
	$(BIN)/python docs/generate/drawings/diagrams.py --check
	$(BIN)/python -m benchmarks.paper --check

format: .venv/.installed-dev  ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: .venv/.installed-dev  ## Generate Python from the .proto files
	$(BIN)/python proto/generate.py

deploy: .venv/.installed-dev  ## Make deploy/'s dashboards and Kubernetes' rules, and docs/pictures/diagrams, from their sources
	$(BIN)/python deploy/kubernetes/monitoring.py
	$(BIN)/python deploy/kubernetes/helm/schema.py
	$(BIN)/python deploy/envoy/variants.py
	$(BIN)/python deploy/grafana/dashboards.py
	$(BIN)/python docs/generate/drawings/diagrams.py

clean:  ## Remove what make made; models/ and runs/ stay
	rm -rf .venv $(WEB:=/node_modules) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist site
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo "make: no python3.11 or python3 found; set PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than Python 3.11; set PYTHON=/path/to/a/newer/python" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv

# One stamp an install, newer than pyproject.toml when it is up to date.
.venv/.installed-train: pyproject.toml | .venv/bin/pip
	$(SAY)
	$(BIN)/pip install --quiet --editable '.[serve,train]'
	@touch $@
.venv/.installed-test: pyproject.toml | .venv/bin/pip
	$(SAY)
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $@
.venv/.installed-faults: pyproject.toml | .venv/bin/pip
	$(SAY)
	$(BIN)/pip install --quiet --editable '.[faults]'
	@touch $@
.venv/.installed-deploy: pyproject.toml | .venv/bin/pip
	$(SAY)
	$(BIN)/pip install --quiet --editable '.[deploy]'
	@touch $@
.venv/.installed-docs: pyproject.toml | .venv/bin/pip
	$(SAY)
	$(BIN)/pip install --quiet --editable '.[docs]'
	@touch $@
.venv/.installed-bench: pyproject.toml | .venv/bin/pip
	$(SAY)
	$(BIN)/pip install --quiet --editable '.[bench]'
	@touch $@
.venv/.installed-dev: pyproject.toml | .venv/bin/pip
	$(SAY)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

# No lock file: it would name a registry. No scripts: the packages need none.
$(WEB:=/node_modules/.installed): %/node_modules/.installed: %/package.json
	@command -v npm >/dev/null || { echo "make: npm not found; install Node.js with npm" >&2; exit 1; }
	npm install --prefix $* --no-package-lock --ignore-scripts --no-audit --no-fund --silent
	@touch $@
