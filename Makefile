# make demo   the whole path on a generated Earth, minutes on two cores
# make test   the fast test suite
# make parity the parts beside torch, transformers and the official geoclip, in an environment of its own
# make package wheel and sdist, installed into an empty environment elsewhere and used there
# PYTHON=python3.12 make ... chooses the interpreter that the environment is made with (3.11 and 3.12 work)

PYTHON ?= python3
VENV := .venv
PARITY := .venv-parity
RUN := JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(VENV)/bin/python
WORKERS ?= 2
# Files that start whole runs go first, so that no worker is left with one at the end.
LONGEST := tests/test_run.py tests/test_hosts.py

.PHONY: venv demo test test-slow parity lint package lock clean

venv: $(VENV)/installed

$(VENV)/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: PYTHON=python3.12 make venv")'
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: venv
	$(RUN) run.py --config=configs/geosurge.py:demo --workdir=workdir/demo

test: venv
	$(RUN) -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(LONGEST) tests

test-slow: venv
	$(RUN) -m pytest -q -m slow

parity: $(PARITY)/installed
	JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(PARITY)/bin/python -m pytest -q -m parity tests/parity

$(PARITY)/installed: requirements-parity.txt requirements.txt
	$(PYTHON) -m venv --clear $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-parity.txt
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps geoclip==1.3.0
	@touch $@

lint: venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright

package: venv
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist . > /dev/null
	$(RUN) -m tests.packaging.try_wheel dist

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		requirements-dev.txt -o requirements.lock

clean:
	rm -rf $(VENV) $(PARITY) workdir datasets dist build *.egg-info
