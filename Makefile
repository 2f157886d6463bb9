# make lab            open the notebook in JupyterLab
# make test           run all tests, on the packages of Google Colab and on the newest releases
# make test-engines   test cohorts on Apache Spark and other databases; needs Java 17 or later
# make lint           check all Python, JavaScript and CSS
# make format         format all files, and fix what the linters can fix
# make bench          run the benchmarks
# make screenshots    take the pictures of docs/images (about ten minutes)
#
# Each target creates the environment that it needs, and updates it when pyproject.toml changes.
#   PYTHON=python3.12   the Python for new environments (3.10 or later)
#   LAB_ARGS=...        arguments for jupyter lab, such as --no-browser
#   TEST_ARGS=...       arguments for pytest, such as '-k cohort'
#   WORKERS=2           processes that run tests at the same time; each needs up to 3 GB of memory

PYTHON ?= python3
LAB_ARGS ?=
TEST_ARGS ?=
WORKERS ?= 2

export PIP_DISABLE_PIP_VERSION_CHECK = 1
# --quiet still shows warnings and errors.
install = bin/python -m pip install --quiet --editable
# Each worker takes the next file of tests, so fixtures of a file are set up once.
pytest = bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
# .venv contains Node, so that the machine needs none.
biome = .venv/bin/node node_modules/@biomejs/biome/bin/biome
tsc = .venv/bin/node node_modules/typescript/bin/tsc

.NOTPARALLEL:
.PHONY: lab test test-engines lint format bench browsers java clean

lab: .venv/.lab
	.venv/bin/python -c 'from idc_widgets import IDCClient; IDCClient().build_cache()'
	.venv/bin/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS) notebooks/browse.ipynb

# The run on Colab's packages comes first, because it is shorter.
test: .venv-colab/.test .venv/.test .venv/ipykernels/7.3.0 node_modules/.installed browsers
	@echo '== All tests except most of those in a browser, on the packages of Google Colab'
	IDC_WIDGETS_EXAMPLES=30 .venv-colab/$(pytest) -m 'not browser or front_ends' $(TEST_ARGS)
	@echo '== All tests, on the newest releases'
	IDC_WIDGETS_EXAMPLES=50 .venv/$(pytest) $(TEST_ARGS)

# Not part of `make test`, because Spark has 400 MB. With IDC_WIDGETS_ENGINES, a test fails if a
# package is missing; without it, the test is skipped.
test-engines: .venv-engines/.test-engines java
	IDC_WIDGETS_ENGINES=1 .venv-engines/bin/python -m pytest tests/other_engines $(TEST_ARGS)

lint: .venv/.dev node_modules/.installed
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	$(biome) check --error-on-warnings
	$(tsc)

format: .venv/.dev node_modules/.installed
	.venv/bin/ruff check --fix
	.venv/bin/ruff format
	$(biome) check --write

# Names that begin with _ are helpers, and before_after.py needs another checkout as its argument.
# A benchmark prints a message if it needs Chromium or nginx.
benchmarks = $(filter-out %/before_after.py,$(wildcard benchmarks/[!_]*.py))

bench: .venv-bench/.bench
	@set -e; for script in $(benchmarks); do \
	  echo "== $$script"; .venv-bench/bin/python "$$script"; done

screenshots: .venv/.test chromium
	PYTHONPATH=tests .venv/bin/python -m support.screenshots docs/images

clean:
	rm -rf .venv .venv-colab .venv-bench .venv-engines node_modules dist screenshots

# --- environments: one file per extra, which is up to date if the file is newer than pyproject.toml

.venv/.lab .venv/.test .venv/.dev: .venv/.%: pyproject.toml | .venv/.made
	@echo 'Installing the $* packages into .venv (a minute or two the first time)'
	@.venv/$(install) '.[$*]'
	@touch $@

.venv-colab/.test: pyproject.toml tests/constraints-colab.txt | .venv-colab/.made
	@echo 'Installing the packages of Colab into .venv-colab (a minute or two the first time)'
	@.venv-colab/$(install) '.[test]' --constraint tests/constraints-colab.txt
	@touch $@

# ipykernel 7.3 handles messages in threads, other versions do not.
.venv/ipykernels/%: | .venv/.made
	@.venv/bin/python -m pip install --quiet --no-deps --target $@.part ipykernel==$*
	@mv $@.part $@

.venv-bench/.bench: pyproject.toml | .venv-bench/.made
	@echo 'Installing the peers into .venv-bench (a minute or two the first time)'
	@.venv-bench/$(install) '.[bench]'
	@touch $@

.venv-engines/.test-engines: pyproject.toml | .venv-engines/.made
	@echo 'Installing Spark and ibis into .venv-engines (a few minutes the first time)'
	@.venv-engines/$(install) '.[test-engines]'
	@touch $@

.venv/.made .venv-colab/.made .venv-bench/.made .venv-engines/.made: %/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo 'This needs Python 3.10 or later: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo '$(PYTHON) cannot create virtual environments.' >&2; \
	  echo 'On Debian and Ubuntu: sudo apt-get install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv $*
	@touch $@

# --- the npm packages of the checkers and of two tests, in the versions of package-lock.json ------

node_modules/.installed: package-lock.json .npmrc | .venv/.dev
	@echo 'Installing Biome, TypeScript, axe and the widget manager of VS Code into node_modules'
	@.venv/bin/npm ci --loglevel=error >/dev/null
	@touch $@

# --- Chromium and Firefox for the browser tests: installed from Debian if missing, and if we may ---
# Playwright's own Node needs libatomic1, which minimal images lack. Without Chromium the browser
# tests fail, with instructions. Those in Firefox are skipped without it.

browsers: .venv/.test
	@have() { for name in "$$CHROMIUM" chromium chromium-browser google-chrome \
	    google-chrome-stable chrome; do command -v "$$name" && return; done; return 1; }; \
	if have >/dev/null && command -v firefox-esr >/dev/null \
	  && .venv/bin/playwright --version >/dev/null 2>&1; then exit 0; fi; \
	command -v apt-get >/dev/null || exit 0; \
	sudo=; if [ "$$(id -u)" != 0 ]; then sudo='sudo -n'; $$sudo true 2>/dev/null || exit 0; fi; \
	echo 'Installing Chromium and Firefox for the browser tests'; \
	$$sudo apt-get update -qq; \
	for packages in 'chromium fonts-liberation libatomic1' firefox-esr; do \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
	    -o DPkg::Lock::Timeout=300 $$packages </dev/null >/dev/null || true; \
	done

# --- Java for Spark: installed from Debian in the same way ----------------------------------------

java:
	@if [ -n "$$JAVA_HOME" ] || command -v java >/dev/null; then exit 0; fi; \
	command -v apt-get >/dev/null || exit 0; \
	sudo=; if [ "$$(id -u)" != 0 ]; then sudo='sudo -n'; $$sudo true 2>/dev/null || exit 0; fi; \
	echo 'Installing Java for the tests on Spark'; \
	$$sudo apt-get update -qq; \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
	  -o DPkg::Lock::Timeout=300 openjdk-17-jre-headless </dev/null >/dev/null || true
