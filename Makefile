# `make book` and `make test` are all that a newcomer types; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
STEP := $(BIN)/python tools/step.py

.PHONY: help env book test lab notebooks bench weights serve repository clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

env: ## make .venv and install everything into it
	@$(PYTHON) tools/environment.py

book: env ## build the HTML book into _build/html
	@$(STEP) "book" $(BIN)/jupyter-book build . -W -n --keep-going -q
	@echo "The book is in _build/html: open _build/html/index.html, or type: make serve"

test: env ## everything that CI checks
	@$(STEP) "lint" $(BIN)/ruff check .
	@$(STEP) "format" $(BIN)/ruff format --check .
	@$(STEP) "types" $(BIN)/mypy
	@$(STEP) "floors" $(BIN)/lint-imports
	@$(STEP) "book" $(BIN)/jupyter-book build . -W -n --keep-going -q --all
	@$(STEP) "notebooks, offline" $(BIN)/python tools/offline.py $(BIN)/python -m pytest --nbval --nbval-current-env --nbval-sanitize-with tests/notebooks/sanitize.cfg --durations=5 book/*.ipynb
	@echo "--- tests and doctests"
	@$(BIN)/python -m pytest --doctest-modules -n 2 --dist loadscope --durations=15 cvlab tests

lab: env ## JupyterLab on the book
	$(BIN)/jupyter lab --notebook-dir=book boxes.ipynb

notebooks: env ## execute the chapters whose text changed; all of them: make notebooks ALL=1
	$(BIN)/python -m tools.notebooks $(if $(ALL),--all)

bench: env ## compare with torchvision and d2l; rewrites benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

weights: env ## train again all that is shipped; takes hours
	$(BIN)/cvlab train all

serve: book ## a local server for the built book
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

repository: env ## set the repository's address everywhere: make repository URL=https://github.com/OWNER/NAME
	$(BIN)/python -m tools.repository $(URL)

clean: ## remove what the commands made, except .venv
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
