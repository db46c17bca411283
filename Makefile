# Every target first sets up .venv and tesseract (.ci/setup); when nothing changed that takes about a second.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
BIN := .venv/bin
# a notebook's output, as it comes: neither papermill's own log nor the names of figures
PAPERMILL := $(BIN)/papermill --no-progress-bar --log-level ERROR --stdout-file - --stderr-file -
STEPS := 2000
export PYTHON PIP_ARGS

.PHONY: help setup demo app test bench figures table2 runs docs prepare

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' Makefile | sed -E 's/^([a-z0-9]+):.*## /  make \1\t/' | expand -t 18
	@echo "  PYTHON=...      the Python 3.11 or 3.12 to use"
	@echo "  PIP_ARGS=...    more arguments for pip; the smaller CPU builds of torch:"
	@echo "                  make demo PIP_ARGS=\"--extra-index-url https://download.pytorch.org/whl/cpu\""

setup: ## only set up: .venv and tesseract
	@.ci/setup

# A budget in steps; the time limit is for a machine that is busy, where one thread has to do.
demo: setup ## train a small model on generated images, read its label frames by OCR, print its row
	@rm -rf runs/demo && mkdir -p runs
	@echo "make demo: $(STEPS) steps, about 4 minutes on two quiet cores and at most 30; then the test images are read"
	@OMP_WAIT_POLICY=passive OMP_NUM_THREADS=$$($(BIN)/python .ci/threads) $(PAPERMILL) nbs/train.ipynb runs/demo.ipynb \
	  -p task cifar10 -p source sample-10000 -p preset small -p batch_size 16 -p steps $(STEPS) -p minutes 30 -p data_dir data -p run_dir runs/demo
	@$(BIN)/python .ci/demo runs/demo $(STEPS)

# From a copy, so that nothing that git knows changes; RUN= takes a run of yours in place of the package's weights.
app: setup ## try the model in a browser: type, draw, upload, speak (RUN=runs/NAME tries a run of yours)
	@mkdir -p runs/try_it
	@$(BIN)/papermill --prepare-only --log-level ERROR nbs/try_it.ipynb runs/try_it/app.ipynb \
	  -r run_dir "$(if $(RUN),$(abspath $(RUN)))" -r data_dir "$${EIV_DATA:-$(CURDIR)/data}"
	$(BIN)/voila --TagRemovePreprocessor.remove_cell_tags=no-app runs/try_it/app.ipynb

# nbdev_test skips the cells flagged slow, gpu or notest (tst_flags in settings.ini), and the papermill notebooks as a
# whole: those with a cell tagged `parameters`, which begin with nbdev's front matter `skip_exec: true`.
test: setup ## nbdev_test over all notebooks, pytest, then a short papermill run of every task
	OMP_NUM_THREADS=1 $(BIN)/nbdev_test --n_workers 2 --timing
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile tests
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && set -e && \
	for task in $$($(BIN)/python -c 'from everything_is_video.tasks import TASKS; print(*(n for n, t in TASKS.items() if t.sample and not t.unstructured))'); do \
	  echo "papermill nbs/train.ipynb -p task $$task -p source sample-200 -p preset tiny -p steps 30"; \
	  $(BIN)/papermill --no-progress-bar nbs/train.ipynb "$$tmp/$$task.ipynb" -p task $$task -p source sample-200 -p preset tiny \
	    -p steps 30 -p data_dir "$$tmp/data" -p run_dir "$$tmp/runs/$$task"; \
	  $(BIN)/python -m everything_is_video.results "$$tmp/runs/$$task"; \
	done
	@echo "make test: the notebooks, pytest and a short run of every task passed"

figures: table2 ## make all figures again, into figures/, and both tables; without weights in runs/ it trains small models first
	$(PAPERMILL) nbs/figures.ipynb /dev/null

table2: setup ## write Tables 1 and 2 and the README's tables again, from the summaries of the runs that runs/campaign.csv lists
	$(PAPERMILL) nbs/table2.ipynb /dev/null
	$(BIN)/python .ci/summary

# A run that was stopped continues; runs/campaign.csv lists them all. `python -m everything_is_video.campaign --list` only lists.
runs: setup ## execute the runs of the table that are not yet done, in order (Ctrl-C stops; the next time it continues)
	@$(BIN)/python -m everything_is_video.campaign

docs: setup ## write the notebooks and the API as a site, _docs/index.html, and open its pages in a headless Chromium, where there is one
	$(BIN)/python .ci/docs _docs
	EIV_SITE=_docs $(BIN)/pytest -q -s tests/test_docs.py

bench: setup ## measure speed and memory (on a quiet machine), tables into figures/
	$(PAPERMILL) nbs/benchmark.ipynb /dev/null

# nbs/index.ipynb is the README; its links and pictures begin with ../, so that they work from nbs/ as well.
prepare: setup ## for developers: write the package and README.md from the notebooks, and clean the notebooks
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean
	$(BIN)/jupyter nbconvert --to markdown --stdout nbs/index.ipynb | sed -E 's#(\]\(|src=")\.\./#\1#g' > .README.tmp
	mv .README.tmp README.md
