# make demo      fresh machine: sets up .venv, trains on real digits, says where the pictures are
# make test      the same set-up if missing or stale, then format, lint, types, layers, docs and tests
# make help      the rest
#
# PYTHON=python3.12   another interpreter (3.11 or newer)   PIP_ARGS="..."   handed on to pip
# WORKERS=4           test processes                        PYTEST_ARGS="..."   handed on to pytest
.POSIX:
SHELL = /bin/sh
.SUFFIXES:
.PHONY: help demo test check slow docs format pins clean distclean

PYTHON ?=
PIP_ARGS ?=
WORKERS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?= --minutes 3

VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.steadygan-stamp
# One thread a process: several test processes with the default threads are slower than one.
ONE_THREAD = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '1,/^$$/p'
	@echo "make slow      the tests that take longer"
	@echo "make docs      the documentation site into site/, warnings are errors"
	@echo "make format    docs/settings.md anew; format, and mend what ruff can mend"
	@echo "make pins      compile constraints.txt anew (needs uv)"
	@echo "make clean     remove caches and built files; distclean removes .venv as well"

demo: $(STAMP)
	@out=runs/digits-demo; n=1; \
	while [ -e "$$out" ]; do n=$$((n + 1)); out=runs/digits-demo-$$n; done; \
	mkdir -p runs; \
	echo "$(BIN)/steadygan train digits --out $$out $(DEMO_ARGS)"; \
	$(BIN)/steadygan train digits --out "$$out" $(DEMO_ARGS)

# pytest stands in a recipe of its own that needs `check`, so that its closing line is the last one.
test: check
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/check_layers.py
	$(BIN)/zensical build --clean --strict
	$(BIN)/python tools/check_docs.py

slow: $(STAMP)
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) -m slow $(PYTEST_ARGS)

docs: $(STAMP)
	$(BIN)/zensical build --clean --strict
	$(BIN)/python tools/check_docs.py

format: $(STAMP)
	$(BIN)/python tools/settings_page.py
	$(BIN)/python tools/health_page.py
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pins:
	uv pip compile pyproject.toml --all-extras -c pin.in --universal --upgrade \
	    --custom-compile-command "make pins" -o constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@sh tools/setup_venv.sh "$(VENV)" "$(PYTHON)" $(PIP_ARGS)
	@touch $(STAMP)

clean:
	rm -rf build dist site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
