# make demo   a simulated tile, end to end, in a few minutes
# make test   all tests
# make test-slurm   the same on a throw-away Slurm cluster, and its faults; needs slurm-wlm and munge
# make check  style, layers, types
# make clean  remove products and caches; .venv stays
# Needs Python 3.11 to 3.13 with venv; uses uv where it is there.

PYTHON ?= python3
# Processes that share the tests out.
JOBS ?= 2
BIN := .venv/bin

.PHONY: demo resume test test-slurm check bench-stages bench-level2 bench-level3 bench-tessellation \
	bench-telemetry bench-simulate bench-level4 clean

# Also finishes a demo that was killed: `resume` is `snakemake` with a dead run's lock removed first.
demo resume: .venv/ready
	@$(BIN)/tessella resume --profile profiles/local

test: .venv/ready
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-slurm: .venv/ready
	@PATH="$$PATH:/usr/sbin:/sbin"; for program in slurmctld slurmd munged sbatch; do \
	  command -v $$program > /dev/null || { \
	    echo "make test-slurm: no $$program; install Slurm and munge (Debian: slurm-wlm munge)" >&2; \
	    exit 1; }; done
	@$(BIN)/python -m pytest -m slurm tests/slurm

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint --configfile config/demo.yaml
	$(BIN)/snakemake --lint --configfile config/calibration.yaml
	$(BIN)/lint-imports
	$(BIN)/mypy src

# What each stage of the demo cost, from the last run of it.
bench-stages: .venv/ready
	@$(BIN)/python benchmarks/bench_stages.py results/demo

# What Level 1 to Level 2 costs on a whole detector; PEER names a Python that holds romancal, and
# ROMANISIM a Level 1 file of a whole detector that romanisim wrote.
RAMPS ?= results/whole_detector
bench-level2: .venv/ready
	@[ -e $(RAMPS)/crtruth.npy ] || $(BIN)/python benchmarks/whole_detector.py $(RAMPS)
	@$(BIN)/python benchmarks/bench_level2.py $(RAMPS) --work $(RAMPS) --repeat 5 $(if $(PEER),--peer $(PEER))
	@[ -z "$(PEER)" ] || $(BIN)/python benchmarks/compare_ramps.py --peer $(PEER) --work $(RAMPS)
	@[ -z "$(ROMANISIM)" ] || $(BIN)/python benchmarks/compare_romanisim.py $(ROMANISIM) \
		--peer $(PEER) --work $(RAMPS)/romanisim

# What an exposure of a whole detector costs to simulate, and a field of a million stars.
bench-simulate: .venv/ready
	@$(BIN)/python benchmarks/bench_simulate.py

# What a catalog of a whole cell in three bands costs; PEER names a Python that holds sep.
CATALOG ?= results/bench_level4
bench-level4: .venv/ready
	@$(BIN)/python benchmarks/bench_level4.py $(CATALOG) $(if $(PEER),--peer $(PEER))

# What eight whole detectors cost from Level 2 to a cell of Level 3; PEER as above, SWarp if there is one.
CELL ?= results/bench_level3
bench-level3: .venv/ready
	@$(BIN)/python benchmarks/bench_level3.py $(CELL) $(if $(PEER),--peer $(PEER))

# What the cells of footprints cost to find, and how often patches read an image; POINTINGS names a FITS
# table of a survey's pointings (ra, dec, pa).
bench-tessellation: .venv/ready
	@$(BIN)/python benchmarks/bench_tessellation.py $(POINTINGS)

# What packets cost to make and to read; PEER names a Python that holds ccsdspy and space_packet_parser.
TELEMETRY ?= results/bench_telemetry
bench-telemetry: .venv/ready
	@$(BIN)/python benchmarks/bench_telemetry.py $(TELEMETRY) $(if $(PEER),--peer $(PEER))

clean:
	rm -rf results .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache

.venv/ready: requirements.lock pyproject.toml
	@if command -v uv > /dev/null; then \
	  uv venv --quiet --allow-existing --python "$(PYTHON)" .venv && \
	  uv pip install --python $(BIN)/python --require-hashes --no-deps -r requirements.lock && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  "$(PYTHON)" -m venv .venv && \
	  echo "installing packages, a minute or two ..." && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --require-hashes --no-deps -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --no-deps --no-build-isolation -e . ; \
	fi
	@$(BIN)/python -m compileall -q -j 0 .venv/lib src > /dev/null || true
	@touch $@
