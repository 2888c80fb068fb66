# Every target is complete on a fresh machine with Python 3.11 and pip: it makes .venv itself.
# Another Python: `make test PYTHON=python3.13`. More for pytest: `make test ARGS="-k capacity -x"`.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; echo python3)
ARGS ?=
# Jupyter asks for this word where one is root, as in a container.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
BIN := .venv/bin
# Most tests wait for a kernel or a page; one file stays in one process, and those with a browser come last.
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder
# A stamp says that .venv has what a purpose needs; a changed requirement makes it stale.
STAMPS := .venv/stamps
LESSONS := $(addprefix --extra ,notebook data process sql http s3 text mqtt otel dask)
NEEDS := pyproject.toml constraints.txt scripts/venv.py $(wildcard cascade/notebook/static/labextension/package.json)

# The tools read and write beside the sources; a shell that forbids bytecode only makes every start slow.
unexport PYTHONDONTWRITEBYTECODE
# Nor may a caller's own environment leak in.
unexport PYTHONPATH VIRTUAL_ENV

.PHONY: help demo lab test bench lint format frontend frontend-check constraints clean
.NOTPARALLEL:

help: ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -nE 's/^([a-z.-]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(STAMPS)/demo ## run the quickstart notebook, print its result, write build/quickstart.html
	@$(BIN)/python scripts/demo.py

lab: $(STAMPS)/lab ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=notebooks --LabApp.default_url=/lab/tree/01_quickstart.ipynb $(AS_ROOT) $(ARGS)

test: $(STAMPS)/test ## run every test; browser tests need Chromium and skip without
	@scripts/programs.sh
	@$(BIN)/python -m pytest -m "not bench and not soak" $(IN_TWO) $(ARGS)

bench: $(STAMPS)/bench ## measure against the peers and the budgets; a few minutes on a quiet machine
	@$(BIN)/python -m benchmarks $(ARGS)

lint: $(STAMPS)/test ## what CI checks before the tests
	@status=0; for command in "ruff format --check ." "ruff check ." mypy; do \
	echo "$$command"; $(BIN)/$$command || status=1; done; exit $$status

format: $(STAMPS)/test ## let ruff rewrite what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

frontend: $(STAMPS)/test ## rebuild cascade/notebook/static from the front-end sources (needs node)
	@$(BIN)/python scripts/frontend.py

frontend-check: $(STAMPS)/test ## rebuild it and fail when the committed files differ
	@$(BIN)/python scripts/frontend.py --check

environment.yml: pyproject.toml scripts/environment.py $(STAMPS)/demo ## the same requirements for conda
	$(BIN)/python scripts/environment.py

constraints: $(STAMPS)/demo ## choose today's newest versions for constraints.txt
	@$(BIN)/python scripts/constraints.py

clean: ## remove everything that the other targets made
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf notebooks/.cascade notebooks/.ipynb_checkpoints cascade/notebook/frontend/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define install
@$(PYTHON) scripts/venv.py $(1)
@mkdir -p $(STAMPS) && touch $@
endef

$(STAMPS)/demo: $(NEEDS)
	$(call install,--extra notebook --extra data --extra process --with nbclient)

$(STAMPS)/lab: $(NEEDS)
	$(call install,$(LESSONS) --with jupyterlab --with "moto[server]")

$(STAMPS)/test: $(NEEDS)
	$(call install,--extra test)

$(STAMPS)/bench: $(NEEDS)
	$(call install,--extra bench)
