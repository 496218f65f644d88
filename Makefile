# The one entry. Needs Python 3.11 or later, a C compiler and make; everything else goes into .venv.
PYTHON ?= python3
JOBS ?= 2
N ?= 50000
VALID ?= 500
SECONDS ?= 3600
CASES ?= ABCD
EXAMPLES ?= 100
SAVES ?= 1000
RESUMES ?= 20
BITS ?= 10000
PROFILE ?= train

VENV := .venv
BIN := $(VENV)/bin
BUILD := build/venv
SOURCES := $(shell find src meson.build meson.options pyproject.toml -type f \
	! -name '*.so' ! -name '*.pyc' ! -path 'tests/*')

.DEFAULT_GOAL := help
.PHONY: help install train test core-test array-api tiny bench profile callgrind wheel lint format stubs numerics torch-parity torch-table layer-table asan fuzz tsan add-op-check plugin-matrix pycuda cuda-compile-check cuda-check grind clean interrupts forks kills same-bits numerics-exhaustive fuzz-million hammer promises graphs graph-files onnx-files onnx-table

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1|/' | column -t -s '|'

$(VENV)/.created: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "helix needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq $$($(BIN)/python tools/requirements.py demo)
	touch $@

$(VENV)/.checks: $(VENV)/.created
	$(BIN)/python -m pip install -qq $$($(BIN)/python tools/requirements.py test,lint)
	touch $@

# An ordinary install from an incremental build: what is tested is what a user gets. Every change under src makes it again.
$(VENV)/.installed: $(VENV)/.created $(SOURCES)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install -qq --no-deps --no-build-isolation \
		--force-reinstall -Cbuild-dir=$(BUILD) -Ccompile-args=-j$(JOBS) .
	touch $@

# The first-party plugins in Python, each from its own folder; sources of some are under src/helix/backends/.
PLUGINS := $(dir $(shell grep -l hatchling plugins/*/pyproject.toml))
$(VENV)/.plugins: $(VENV)/.checks $(VENV)/.installed $(shell find plugins -type f)
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --force-reinstall $(addprefix ./,$(PLUGINS))
	touch $@

install: $(VENV)/.installed  ## build helix and install it into .venv

train: install  ## train a small network on the digits and save it
	$(BIN)/helix train examples/digits.toml

core-test: install  ## the C tests of the core, without Python
	$(BIN)/meson configure $(BUILD) > /dev/null
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/meson test -C $(BUILD) --print-errorlogs

test: $(VENV)/.checks core-test $(VENV)/.plugins  ## everything: C tests, then the Python tests
	$(BIN)/python -m pytest

array-api: $(VENV)/.checks install  ## the array API standard's public test suite, cloned with its submodule into SUITE=folder
	@test -n "$(SUITE)" || { echo "SUITE=folder: a clone of github.com/data-apis/array-api-tests, with its submodule"; exit 2; }
	$(BIN)/python -m pip install -qq -r "$(SUITE)/requirements.txt"
	cd "$(SUITE)" && ARRAY_API_TESTS_MODULE=helix.array_api ARRAY_API_TESTS_VERSION=2025.12 \
		$(abspath $(BIN))/python -m pytest -q -p no:cacheprovider array_api_tests --max-examples $(EXAMPLES) \
		--xfails-file $(CURDIR)/tests/array_api/xfails.txt

tiny: $(VENV)/.checks install  ## the quickest check that all parts still meet (seconds)
	$(BIN)/python -m pytest -q -x -n 0 tests/test_tiny.py

bench: install  ## helix beside its peers and its own past: about an hour, page in build/benchmarks.md (KEEP=--keep: in docs; NOTE=text)
	$(BIN)/python -m pip install -qq $$($(BIN)/python tools/requirements.py bench)
	$(BIN)/python -m asv_benchmarks.peers run --out build/peers.json
	$(BIN)/python -m asv_benchmarks.peers imports --out build/start.json
	$(BIN)/python -m asv_benchmarks.page build/peers.json --start build/start.json --note "$(NOTE)" $(KEEP)
	$(BIN)/python -m asv machine --yes > /dev/null
	cd asv_benchmarks && $(abspath $(BIN))/python -m asv run -E existing:same --quick --set-commit-hash $$(git rev-parse HEAD) \
		|| test $$? = 2  # 2: a benchmark had nothing to measure here

profile: install  ## where the time of workloads goes, as tables and SVGs in docs/profiles (ONLY="C.f32_1024 …")
	$(BIN)/python -m asv_benchmarks.profile --out docs/profiles $(ONLY)

callgrind: install  ## instructions of a call inside helix, beside the kept table (needs valgrind; KEEP=--keep)
	$(BIN)/python -m asv_benchmarks.instructions $(KEEP)

wheel: $(VENV)/.created  ## the wheel, and its size, which must stay under 10 MB
	rm -rf build/wheels
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip wheel -qq --no-deps --no-build-isolation \
		-Cbuild-dir=$(BUILD) -Ccompile-args=-j$(JOBS) -w build/wheels .
	$(BIN)/python tools/wheel_size.py build/wheels

lint: $(VENV)/.checks install  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict examples/*.py tests/test_typed_use.py
	$(BIN)/python tools/lint_c.py
	$(BIN)/python tools/stubs.py --check

format: $(VENV)/.checks  ## put Python files into the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stubs: install  ## write the type stubs and the list of errors in the docs from the built module
	$(BIN)/python tools/stubs.py

numerics: $(VENV)/.checks install  ## measure the elementary functions and write the table in docs/numerics.md
	$(BIN)/python tools/numerics.py

torch-table: $(VENV)/.checks install  ## what torch documents and what helix has of it: docs/torch-ops.md (2 minutes)
	$(BIN)/python -m tests.parity.table

layer-table: $(VENV)/.checks install  ## torch.nn's classes and helix.nn's: docs/layers.md
	$(BIN)/python -m tests.nn.layer_table

torch-parity: $(VENV)/.checks install  ## every op on all of torch's own samples, and counts of what differs (10 minutes)
	$(BIN)/python -m tests.parity --keep

asan: $(VENV)/.checks  ## the generic tests under the sanitizers, in shards, for SECONDS=3600; goes on where it stopped
	$(BIN)/python tools/sanitized.py -m tests.shards tests/ops tests/faults --seconds $(SECONDS)

fuzz: $(VENV)/.checks  ## N random op calls under the sanitizers, VALID valid ones of each op: make fuzz N=50000 VALID=500
	$(BIN)/python tools/sanitized.py -m tests.fuzz --calls $(N) --valid $(VALID)

numerics-exhaustive: $(VENV)/.checks install  ## functions of float32 at all 2^32 arguments (about a minute each, 28 of them; goes on where it stopped), and their table in docs/numerics.md
	$(BIN)/python -m tests.numerics.unary
	$(BIN)/python tools/numerics.py --exhaustive

fuzz-million: $(VENV)/.checks  ## 1,000,000 random op calls under the sanitizers, in shards (10 minutes; goes on where it stopped)
	$(BIN)/python tools/sanitized.py -m tests.fuzz.shards --calls 1000000

hammer: $(VENV)/.checks  ## eight callers for a minute under the sanitizer of data races
	$(BIN)/python tools/sanitized.py --hammer 60

same-bits: $(VENV)/.checks install  ## every sample of every op on 1, 2, 4 and 8 threads, and large calls in four processes (5 minutes)
	$(BIN)/python -m tests.ops.grown
	$(BIN)/python -m tests.ops.large

promises: install  ## work, traffic and memory of long texts and of training: docs/promises.md (a few minutes, up to 6 GB)
	$(BIN)/python tools/promises_page.py

kills: $(VENV)/.checks install  ## SIGKILL in the middle of SAVES=1000 saves and RESUMES=20 times in a training; BITS=10000 flipped bits
	$(BIN)/python -m tests.train.kills saves $(SAVES)
	$(BIN)/python -m tests.train.kills resumes $(RESUMES)
	$(BIN)/python -m tests.train.kills bits $(BITS)

interrupts: $(VENV)/.checks install  ## 200 times Ctrl-C in long calls: over within 250 ms, nothing half done (2 minutes, of an idle machine)
	$(BIN)/python -m tests.interrupts --times 200

graphs: $(VENV)/.checks install  ## N=10000 random graphs: shapes inferred are those run, gradient graphs are the gradients, passes keep them (40 minutes)
	$(BIN)/python -m tests.graph.random_graphs --graphs $(if $(filter file,$(origin N)),10000,$(N))

graph-files: $(VENV)/.checks install  ## 10,000 damaged files of graphs: typed errors in bounded time (5 minutes)
	$(BIN)/python -m tests.graph.mutations --times $(if $(filter file,$(origin N)),10000,$(N))

onnx-files: $(VENV)/.checks install  ## 10,000 damaged ONNX files: typed errors in bounded time (5 minutes)
	$(BIN)/python -m tests.onnx.mutations --times $(if $(filter file,$(origin N)),10000,$(N))

onnx-table: $(VENV)/.checks install  ## the node tests of the onnx package, operator by operator: docs/onnx.md
	$(BIN)/python -m tests.onnx.table
	$(BIN)/python -m tests.onnx.export_table

forks: $(VENV)/.checks install  ## 500 forks of a process whose threads compute: children compute too (2 minutes)
	$(BIN)/python -m tests.forks --times 500

tsan: $(VENV)/.checks  ## the C tests under the sanitizer of data races
	$(BIN)/python tools/sanitized.py --races

add-op-check: $(VENV)/.checks  ## a toy op in three places, built, used and tested in a copy of the tree
	$(BIN)/python tests/add_op/check.py

plugin-matrix: $(VENV)/.checks install  ## helix and a plugin as wheel and as editable install: make plugin-matrix CASES=ABCD (1 minute)
	$(BIN)/python tools/plugin_matrix.py --cases $(CASES) --build-dir $(BUILD)

pycuda: $(VENV)/.checks  ## build pycuda without a GPU, to drive the emulated CUDA driver (about a minute)
	$(BIN)/python tests/emulation/build_pycuda.py

plugin-walkthrough: $(VENV)/.checks install  ## a new plugin in Python and one in C, by the commands of their READMEs (1 minute)
	$(BIN)/python tools/plugin_walkthrough.py --build-dir $(BUILD)

cuda-compile-check: $(VENV)/.checks $(VENV)/.plugins  ## every kernel in CUDA C through NVIDIA's compiler, for sm_75 to sm_90 (4 minutes)
	$(BIN)/python -m tests.backends.cuda_compile --jobs $(JOBS)

cuda-check: $(VENV)/.plugins  ## on a machine with an NVIDIA GPU: the conformance kit and the figures, into build/cuda-check
	$(BIN)/python tools/device_check.py cuda

conformance: $(VENV)/.checks $(VENV)/.plugins  ## the conformance kit on sim, reference, OpenCL, WebGPU, and CUDA and Metal emulated: JSON and badges in build/conformance (25 minutes)
	$(BIN)/python tools/conformance.py --profile $(PROFILE)

grind: $(VENV)/.checks $(VENV)/.plugins  ## the samples of all ops in oclgrind: races, bad addresses, uninitialized values (15 minutes)
	$(BIN)/python -m tests.backends.opencl_grind --every --jobs $(JOBS)

clean:  ## remove what was built
	rm -rf build $(VENV)
