# Everything runs in $(VENV), which each target sets up as far as it needs.
PYTHON ?= python3
# Another torch than the pinned one (torch==2.4.1).
TORCH ?=
VENV ?= .venv
PYTEST_ARGS ?=
# Processes the tests are divided among, by file; each computes in one thread.
TEST_WORKERS ?= 2
DEMO_ARGS ?=

INSTALL = $(PYTHON) tools/dev/install_env.py --venv '$(VENV)'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help python env demo demo-detection demo-epic demo-avt \
  demo-collaborative demo-unrolled demo-features docs test lint

help:
	@echo 'make env   install everything into $(VENV) (wheels only, 2 minutes)'
	@echo 'make demo  LongCue: train with and without memory, print the table'
	@echo 'make demo-detection  the same for action detection, with boxes'
	@echo 'make demo-epic       the same for EPIC-KITCHENS-100, to submissions'
	@echo 'make demo-avt        anticipation there, with history and without'
	@echo 'make demo-collaborative  clips of a video that share a memory'
	@echo 'make demo-unrolled   training through memory, beside stop-gradient'
	@echo 'make demo-features   memory over features of any backbone'
	@echo 'make test  run the tests (PYTEST_ARGS="tests/ops -k name -x")'
	@echo 'make docs  check the model zoo, build the pages: build/site'
	@echo 'make lint  run the linter'
	@echo
	@echo 'Variables, as in `make env PYTHON=python3.11`:'
	@echo '  PYTHON=$(PYTHON)  VENV=$(VENV)  TORCH=torch==2.4.1'

python:
	@command -v '$(PYTHON)' >/dev/null || { \
	  echo 'Error: no $(PYTHON). Install Python 3.9 to 3.13 with its venv' \
	       'module, or name one: make env PYTHON=python3.11' >&2; exit 1; }

env: python
	@$(INSTALL) --torch '$(TORCH)'

demo: env
	@'$(VENV)/bin/python' examples/demo.py longcue $(DEMO_ARGS)

demo-detection: env
	@'$(VENV)/bin/python' examples/demo.py detection $(DEMO_ARGS)

demo-epic: env
	@'$(VENV)/bin/python' examples/demo.py epic $(DEMO_ARGS)

demo-avt: env
	@'$(VENV)/bin/python' examples/demo.py avt $(DEMO_ARGS)

demo-collaborative: env
	@'$(VENV)/bin/python' examples/demo.py collaborative $(DEMO_ARGS)

demo-unrolled: env
	@'$(VENV)/bin/python' examples/demo.py unrolled $(DEMO_ARGS)

demo-features: env
	@'$(VENV)/bin/python' examples/demo.py features $(DEMO_ARGS)

test: env
	@OMP_NUM_THREADS=1 '$(VENV)/bin/python' -m pytest \
	  -n $(TEST_WORKERS) --dist loadfile $(PYTEST_ARGS)
	@if '$(VENV)/bin/python' -c \
	  'import sys, torch; sys.exit(not torch.cuda.is_available())'; then \
	  '$(VENV)/bin/python' -m pytest tests -m cuda; fi

docs: env
	@'$(VENV)/bin/python' tools/dev/model_zoo.py --check
	@'$(VENV)/bin/python' -m sphinx -qW --keep-going -c docs . build/site
	@echo 'build/site/index.html'

lint: python
	@$(INSTALL) --only-lint
	@'$(VENV)/bin/ruff' check .
