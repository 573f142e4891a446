# Everything runs in .venv with the versions of constraints.txt; `make test` and `make demo` create it if need be.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test soak bench lint clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev,formats]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps --target $(VENV)/spandrel spandrel torchvision
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/deepot demo --output demo-output

test: $(STAMP) lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 10

# Faults over and over, in under 20 minutes on two cores; writes the table of docs/reliability.md.
soak: $(STAMP)
	rm -f .soak.jsonl
	$(BIN)/python -m pytest -m soak --durations 10; status=$$?; $(BIN)/python -m tests.support.soak; exit $$status

# The measurements of docs/performance.md, one after the other; PHOTOS: a folder of photos (`make demo` leaves some).
PHOTOS ?= demo-output/clean
bench: $(STAMP)
	$(BIN)/python benchmarks/operators.py --json bench-output/operators.json
	$(BIN)/python benchmarks/fitting.py --json bench-output/fitting.json
	$(BIN)/python benchmarks/planning.py --json bench-output/planning.json
	$(BIN)/python benchmarks/collecting.py --json bench-output/collecting.json
	$(BIN)/python benchmarks/scheduling.py $(PHOTOS) --json bench-output/scheduling.json
	$(BIN)/python benchmarks/kernels.py $(PHOTOS) --json bench-output/kernels.json
	$(BIN)/python benchmarks/throughput.py $(PHOTOS) --plain --json bench-output/throughput.json

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo-output .pytest_cache .mypy_cache .ruff_cache *.egg-info
