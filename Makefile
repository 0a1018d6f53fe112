# `make` without a target prints a help, which is made from the `##` comments of the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
TRAIN_BIN := .venv-train/bin
BACKBONE ?= timm/tf_efficientnet_lite0
TRIALS ?= 8
DATA ?= data/samples
OUT ?=
DEVICE ?= cuda
PUSH ?=
KIND ?= train
EMULATOR ?=
IMAGE ?= byoc-classifier-$(KIND):cpu
HYPERPARAMETERS ?= {"backbone": "timm/tf_efficientnet_lite0"}
# The photos of local-test: the optional folder beside the project, if it exists.
DOGS := $(wildcard ../shared/data/dogs)

# The tests start Python hundreds of times. With PYTHONDONTWRITEBYTECODE, each process would compile the project again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup dev emulator sdk notebook notebook-outputs demo check fix test test-slow test-script test-others coverage mutation test-soak test-stock test-long docs picture report-picture samples local-test contract contract-docs bench-train bench-features bench-serve bench-decode bench-emulator bench-upload bench-driver bench-report gpu-check build push test-images test-inside image-sizes sbom lock clean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## make .venv with all packages to train and serve (PYTHON=path; PIP_ARGS="--index-url URL" chooses another build of torch)

dev: .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready ## install all packages for lint and tests; then .venv/bin/pytest runs the tests, .venv/bin/pytest tests/train/test_config.py one file

.venv/.ready: requirements/plain.lock requirements/samples.lock pyproject.toml $(wildcard environment/*)
	bash requirements/setup.sh
	@touch $@

.venv/.ready-dev: .venv/.ready requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	@touch $@

.venv-sdk/.ready: requirements/sdk.lock
	bash requirements/setup_sdk.sh
	@touch $@

# Adds the notebook's packages to those of the SDK, with the same versions of common packages. --no-compile: Python compiles a module
# at its first import.
.venv-sdk/.ready-notebook: .venv-sdk/.ready requirements/notebook.lock
	.venv-sdk/bin/python -m pip install --quiet --no-compile --no-deps --require-hashes -r requirements/notebook.lock
	@touch $@

.venv-sagemaker/.ready: requirements/sagemaker.lock requirements/setup_sagemaker.sh
	bash requirements/setup_sagemaker.sh
	@touch $@

.venv-clients/.ready: requirements/clients.lock requirements/setup_clients.sh
	bash requirements/setup_clients.sh
	@touch $@

.venv-train/.ready: requirements/train-cpu.lock requirements/dev.lock pyproject.toml $(wildcard environment/*)
	bash requirements/setup_train.sh
	@touch $@

.venv-peers/.ready: requirements/peers.lock requirements/plain.lock
	bash requirements/setup_peers.sh
	@touch $@

emulator: setup .venv-sagemaker/.ready ## make .venv-sagemaker, a SageMaker on this machine; then .venv/bin/byoc emulate starts it

sdk: .venv-sdk/.ready ## make .venv-sdk, SageMaker's SDK v2; byoc uses it, if it exists, to train, tune and deploy

notebook: emulator samples .venv-sdk/.ready-notebook ## open notebooks/train_and_deploy.ipynb in Jupyter, beside a SageMaker on this machine
	$(BIN)/byoc emulate -- .venv-sdk/bin/jupyter lab notebooks/train_and_deploy.ipynb

notebook-outputs: emulator samples .venv-sdk/.ready-notebook ## execute notebooks/train_and_deploy.ipynb from start to end, and store the new outputs in it
	$(BIN)/byoc emulate --run process -- .venv-sdk/bin/python notebooks/execute.py

demo: setup ## the main job: check, tune, train, test, serve, predict (DATA=folder BACKBONE=name TRIALS=n OUT=folder)
	@if [ "$(DATA)" = data/samples ]; then $(BIN)/byoc data sample data/samples; fi
	$(BIN)/byoc run --data "$(DATA)" --backbone "$(BACKBONE)" --trials $(TRIALS) $(if $(OUT),--out "$(OUT)")

check: .venv/.ready-dev ## lint: ruff, mypy, shellcheck, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck -x .ci/run build_and_push.sh {docker,requirements,tests,local_test,local_test/*}/*.sh
	$(BIN)/hadolint docker/Dockerfile local_test/plain/*.Dockerfile

fix: .venv/.ready-dev ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv-stock/.ready: requirements/stock.lock requirements/setup_stock.sh
	bash requirements/setup_stock.sh
	@touch $@

test: dev ## all tests except the slow and the long ones, on real photos and a real model server
	$(BIN)/pytest -n 2 --dist loadfile
	@if [ -x $(TRAIN_BIN)/python ] || requirements/python.sh 3.11 > /dev/null 2>&1; then $(MAKE) --no-print-directory test-script; else \
	  echo "test: the tests of script mode and hooks were left out, because they need Python 3.11; make test-inside runs them in the training image"; fi

test-slow: .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready-notebook ## the tests that take many seconds each: whole jobs, the README's commands, killed jobs
	$(BIN)/pytest -n 2 --dist loadfile -m "slow and not long and not docker and not trainenv"
	@if [ -x $(TRAIN_BIN)/python ] || requirements/python.sh 3.11 > /dev/null 2>&1; then $(MAKE) --no-print-directory test-script SPEED=slow; fi

test-script: .venv-train/.ready ## run the tests of script mode and hooks with the packages of the training image (a part of test; with SPEED=slow, a part of test-slow)
	$(TRAIN_BIN)/pytest -n 2 --dist load -m "trainenv and $(or $(SPEED),not slow)" $$(grep -rl mark.trainenv tests --include="test_*.py")

test-others: .venv/.ready-dev ## the tests that need no torch, on the other installed versions of Python (3.11, 3.12, 3.13)
	tests/others.sh

coverage: .venv/.ready-dev .venv-train/.ready ## list the lines of the product that no test reaches, also in subprocesses (20 minutes; writes runs/coverage)
	tests/coverage.sh

mutation: .venv/.ready-dev .venv-train/.ready ## put errors into the product and list those that no test notices (COUNT=n SEED=n MODULE=file; run make coverage before)
	$(BIN)/python -m tests.mutation $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(if $(MODULE),--module "$(MODULE)")

test-soak: .venv/.ready-dev ## two minutes of mixed load on the server (BYOC_SOAK_SECONDS=n for another time)
	$(BIN)/pytest -m soak

test-stock: .venv/.ready-dev .venv-stock/.ready ## run the attacks that fail on our server against the stock serving stack, where they succeed
	$(BIN)/pytest -m stock

test-long: .venv/.ready-dev .venv-sagemaker/.ready .venv-clients/.ready test-stock ## the tests that take minutes each
	$(BIN)/pytest -m "long and not trainenv and not docker"

docs: .venv/.ready ## write the generated tables of the documents
	$(BIN)/python -m docs.generated

report-picture: .venv/.ready-dev ## make the README's picture of a report (SAVED=folder of a run)
	$(BIN)/python -m docs.report_picture "$(SAVED)"

picture: demo ## record make demo as the README's picture
	$(BIN)/python -m docs.picture

samples: .venv/.ready
	@[ -d data/samples/test ] || $(BIN)/byoc data sample data/samples

local-test: samples .venv-sdk/.ready ## train, serve and predict in SageMaker local mode, and check the answers (DATA=folder HOSTS=n)
	HOSTS="$(HOSTS)" local_test/local_test.sh "$(if $(filter data/samples,$(DATA)),$(or $(DOGS),$(DATA)),$(DATA))"

contract: samples .venv/.ready-dev $(if $(EMULATOR),.venv-sagemaker/.ready) ## check any image from outside (IMAGE=name KIND=train|serve DATA=folder MODEL=artifact KEEP=folder; EMULATOR=1 uses byoc emulate)
	$(if $(EMULATOR),local_test/contract/emulated.sh,$(BIN)/pytest) -p no:cacheprovider local_test/contract/test_$(KIND)*.py --image "$(IMAGE)" --data "$(DATA)" \
	  --hyperparameters '$(HYPERPARAMETERS)' $(if $(MODEL),--model "$(MODEL)") $(if $(KEEP),--keep-model "$(KEEP)")

contract-docs: samples .venv/.ready-dev ## write docs/contract.md: the clauses that our images and the stock images pass
	DATA="$(DATA)" HYPERPARAMETERS='$(HYPERPARAMETERS)' local_test/contract/report.sh

bench-train: .venv/.ready-dev ## compare training with a plain loop, and measure its growth (PHOTOS=folder SMALL=folder PARTS=epochs,growth,...)
	$(BIN)/python -m benchmarks.train $(if $(PHOTOS),"$(PHOTOS)") $(if $(SMALL),--small "$(SMALL)") $(if $(PARTS),--part "$(PARTS)")

bench-features: .venv/.ready-dev ## compare the speed of the feature pass with torch and with the forward pass alone (PHOTOS=folder SMALL=folder)
	$(BIN)/python -m benchmarks.train $(if $(PHOTOS),"$(PHOTOS)") $(if $(SMALL),--small "$(SMALL)") --part features-breeds,features-dogs,features-inception-breeds,features-inception-dogs

bench-serve: .venv/.ready-dev .venv-peers/.ready ## compare serving with other servers and with one thread's limit (PHOTOS=folder PARTS=backends,inception_v3,start,...; needs wrk)
	$(BIN)/python -m benchmarks.serve $(if $(PHOTOS),"$(PHOTOS)") $(if $(PARTS),--part "$(PARTS)")

bench-decode: .venv/.ready-dev ## measure how much time draft decoding saves (PHOTOS=folder)
	$(BIN)/python -m benchmarks.decode $(if $(PHOTOS),"$(PHOTOS)")

bench-emulator: samples .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready ## measure time and memory of the local SageMaker (S3_MB=megabytes in S3, 10000 for the figure of 10 GB; TMPDIR=their folder)
	$(BIN)/python -m benchmarks.emulator --part start,s3,invocation,job,tuning $(if $(S3_MB),--s3-mb "$(S3_MB)")

bench-driver: samples .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready ## measure the time that byoc itself takes besides its requests
	$(BIN)/python -m benchmarks.emulator --part driver --rounds 9

bench-report: .venv/.ready-dev ## measure byoc report: a huge job, and the page of a normal job in the browser
	$(BIN)/python -m benchmarks.report

bench-upload: .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready ## compare byoc data upload with SDK v2's upload_data, to the local SageMaker (PHOTOS=number)
	$(BIN)/python -m benchmarks.emulator --part upload $(if $(PHOTOS),--sent "$(PHOTOS)")

gpu-check: .venv/.ready .venv-stock/.ready ## run the checks that need a GPU, in ten minutes; prints a table with one verdict a line
	$(BIN)/python -m tests.gpu

build: ## build both images as byoc-classifier-train:DEVICE and byoc-classifier-serve:DEVICE (DEVICE=cuda|cpu BASE_IMAGE=tag; DEVICE=openvino builds only the serving image, without torch)
	$(if $(filter openvino,$(DEVICE)),,docker/build.sh train $(DEVICE))
	docker/build.sh serve $(DEVICE)

push: ## build both images, push them and write images.json (DEVICE=cuda|cpu PUSH="--tag T --region R --dry-run" REGISTRY=host)
	./build_and_push.sh all --device $(DEVICE) $(PUSH)

test-images: .venv/.ready-dev .venv-images/.ready .venv-sdk/.ready .venv-sagemaker/.ready ## test the CPU images, the push, local mode and the local SageMaker from outside, then run test-inside QUICK=1 (run make build DEVICE=cpu and DEVICE=openvino before)
	$(BIN)/pytest -m docker tests
	BYOC_SERVE_IMAGE=byoc-classifier-serve:cpu $(BIN)/pytest tests/serve/test_serve.py tests/serve/test_answers.py
	@$(MAKE) --no-print-directory test-inside QUICK=1

test-inside: .venv/.ready-dev .venv-inside/.ready ## run the tests inside the CPU images, with their Python, packages and code (QUICK=1 leaves out the long ones; run make build DEVICE=cpu before)
	QUICK=$(QUICK) tests/inside.sh train
	QUICK=$(QUICK) tests/inside.sh serve

image-sizes: .venv/.ready-dev ## print a table of the images' sizes and their budgets (OUT=file.json writes the sizes too)
	$(BIN)/python docker/sizes.py $(if $(OUT),--json "$(OUT)")

sbom: .venv-images/.ready ## write the contents of the images of DEVICE into sbom/, as CycloneDX, with licences and known vulnerabilities
	docker/sbom.sh $(DEVICE)

.venv-images/.ready: requirements/images.lock
	bash requirements/setup_images.sh
	@touch $@

.venv-inside/.ready: .venv/.ready requirements/dev.lock requirements/samples.lock
	bash requirements/setup_inside.sh
	@touch $@

lock: ## make the lock files again from pyproject.toml and requirements/*.in
	bash requirements/lock.sh

clean: ## remove the environments .venv*, results, samples and caches (the feature cache under ~/.cache stays)
	rm -rf .venv .venv-* sbom runs data .mypy_cache .pytest_cache .ruff_cache
