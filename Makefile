# Plain `make` prints this help from the targets' own comments.
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

# The tests start hundreds of Pythons; each would compile the project again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup dev emulator sdk notebook notebook-outputs demo check fix test test-slow test-script test-others coverage mutation test-soak test-stock test-long docs picture report-picture samples local-test contract contract-docs bench-train bench-features bench-serve bench-decode bench-emulator bench-upload bench-driver bench-report gpu-check build push test-images test-inside image-sizes sbom lock clean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## make .venv with all it takes to train and serve (PYTHON=path; PIP_ARGS="--index-url URL" chooses another build of torch)

dev: .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready ## install all that lint and the tests need; then .venv/bin/pytest runs them, .venv/bin/pytest tests/train/test_config.py one file

.venv/.ready: requirements/plain.lock requirements/samples.lock pyproject.toml $(wildcard environment/*)
	bash requirements/setup.sh
	@touch $@

.venv/.ready-dev: .venv/.ready requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	@touch $@

.venv-sdk/.ready: requirements/sdk.lock
	bash requirements/setup_sdk.sh
	@touch $@

# Laid over the SDK's packages, with the same versions of what both need. Python compiles what is imported when it is.
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

sdk: .venv-sdk/.ready ## make .venv-sdk, SageMaker's SDK v2, through which byoc trains, tunes and deploys where it is there

notebook: emulator samples .venv-sdk/.ready-notebook ## open notebooks/train_and_deploy.ipynb in Jupyter, beside a SageMaker on this machine
	$(BIN)/byoc emulate -- .venv-sdk/bin/jupyter lab notebooks/train_and_deploy.ipynb

notebook-outputs: emulator samples .venv-sdk/.ready-notebook ## execute that notebook from start to end, and keep its new outputs in it
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

fix: .venv/.ready-dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv-stock/.ready: requirements/stock.lock requirements/setup_stock.sh
	bash requirements/setup_stock.sh
	@touch $@

test: dev ## all tests but the slow and the long ones, on real photos and a real model server
	$(BIN)/pytest -n 2 --dist loadfile
	@if [ -x $(TRAIN_BIN)/python ] || requirements/python.sh 3.11 > /dev/null 2>&1; then $(MAKE) --no-print-directory test-script; else \
	  echo "test: script mode and hooks were left out, as they take Python 3.11; make test-inside runs them in the training image"; fi

test-slow: .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready-notebook ## the tests that take many seconds each: whole jobs, the README's commands, jobs that are killed
	$(BIN)/pytest -n 2 --dist loadfile -m "slow and not long and not docker and not trainenv"
	@if [ -x $(TRAIN_BIN)/python ] || requirements/python.sh 3.11 > /dev/null 2>&1; then $(MAKE) --no-print-directory test-script SPEED=slow; fi

test-script: .venv-train/.ready ## script mode and hooks with the packages of the training image (a part of test; SPEED=slow: of test-slow)
	$(TRAIN_BIN)/pytest -n 2 --dist load -m "trainenv and $(or $(SPEED),not slow)" $$(grep -rl mark.trainenv tests --include="test_*.py")

test-others: .venv/.ready-dev ## the tests that need no torch, on the other Pythons of 3.11, 3.12 and 3.13 that are on this machine
	tests/others.sh

coverage: .venv/.ready-dev .venv-train/.ready ## which lines of the product no test reaches, subprocesses included (20 minutes; writes runs/coverage)
	tests/coverage.sh

mutation: .venv/.ready-dev .venv-train/.ready ## put errors into the product and list those that no test notices (COUNT=n SEED=n MODULE=file; make coverage comes first)
	$(BIN)/python -m tests.mutation $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(if $(MODULE),--module "$(MODULE)")

test-soak: .venv/.ready-dev ## two minutes of mixed load on the server (BYOC_SOAK_SECONDS=n for another time)
	$(BIN)/pytest -m soak

test-stock: .venv/.ready-dev .venv-stock/.ready ## the attacks that fail on our server, on the stock serving stack, where they work
	$(BIN)/pytest -m stock

test-long: .venv/.ready-dev .venv-sagemaker/.ready .venv-clients/.ready test-stock ## the tests that take minutes each
	$(BIN)/pytest -m "long and not trainenv and not docker"

docs: .venv/.ready ## write the generated tables of the documents
	$(BIN)/python -m docs.generated

report-picture: .venv/.ready-dev ## take the README's picture of a report (SAVED=folder of a run)
	$(BIN)/python -m docs.report_picture "$(SAVED)"

picture: demo ## record make demo as the README's picture
	$(BIN)/python -m docs.picture

samples: .venv/.ready
	@[ -d data/samples/test ] || $(BIN)/byoc data sample data/samples

local-test: samples .venv-sdk/.ready ## train, serve and predict in SageMaker local mode, and check (DATA=folder HOSTS=n)
	HOSTS="$(HOSTS)" local_test/local_test.sh "$(if $(filter data/samples,$(DATA)),$(or $(DOGS),$(DATA)),$(DATA))"

contract: samples .venv/.ready-dev $(if $(EMULATOR),.venv-sagemaker/.ready) ## check any image from outside (IMAGE=name KIND=train|serve DATA=folder MODEL=artifact KEEP=folder; EMULATOR=1 asks through byoc emulate)
	$(if $(EMULATOR),local_test/contract/emulated.sh,$(BIN)/pytest) -p no:cacheprovider local_test/contract/test_$(KIND)*.py --image "$(IMAGE)" --data "$(DATA)" \
	  --hyperparameters '$(HYPERPARAMETERS)' $(if $(MODEL),--model "$(MODEL)") $(if $(KEEP),--keep-model "$(KEEP)")

contract-docs: samples .venv/.ready-dev ## docs/contract.md: our images and the stock ones side by side
	DATA="$(DATA)" HYPERPARAMETERS='$(HYPERPARAMETERS)' local_test/contract/report.sh

bench-train: .venv/.ready-dev ## training against a plain loop, and its growth (PHOTOS=folder SMALL=folder PARTS=epochs,growth,...)
	$(BIN)/python -m benchmarks.train $(if $(PHOTOS),"$(PHOTOS)") $(if $(SMALL),--small "$(SMALL)") $(if $(PARTS),--part "$(PARTS)")

bench-features: .venv/.ready-dev ## features per second, against torch and against the bare forward pass (PHOTOS=folder SMALL=folder)
	$(BIN)/python -m benchmarks.train $(if $(PHOTOS),"$(PHOTOS)") $(if $(SMALL),--small "$(SMALL)") --part features-breeds,features-dogs,features-inception-breeds,features-inception-dogs

bench-serve: .venv/.ready-dev .venv-peers/.ready ## serving against other servers and one thread's limit (PHOTOS=folder PARTS=backends,inception_v3,start,...; needs wrk)
	$(BIN)/python -m benchmarks.serve $(if $(PHOTOS),"$(PHOTOS)") $(if $(PARTS),--part "$(PARTS)")

bench-decode: .venv/.ready-dev ## what draft decoding saves (PHOTOS=folder)
	$(BIN)/python -m benchmarks.decode $(if $(PHOTOS),"$(PHOTOS)")

bench-emulator: samples .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready ## what the local SageMaker costs (S3_MB=megabytes in S3, 10000 for the figure of 10 GB; TMPDIR says where)
	$(BIN)/python -m benchmarks.emulator --part start,s3,invocation,job,tuning $(if $(S3_MB),--s3-mb "$(S3_MB)")

bench-driver: samples .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready ## how long byoc takes before it does what it was asked for
	$(BIN)/python -m benchmarks.emulator --part driver --rounds 9

bench-report: .venv/.ready-dev ## what byoc report takes: a huge job, and the page of a normal one in the browser
	$(BIN)/python -m benchmarks.report

bench-upload: .venv/.ready-dev .venv-sagemaker/.ready .venv-sdk/.ready ## byoc data upload against SDK v2's upload_data, to the local SageMaker (PHOTOS=number)
	$(BIN)/python -m benchmarks.emulator --part upload $(if $(PHOTOS),--sent "$(PHOTOS)")

gpu-check: .venv/.ready ## what a GPU decides, in ten minutes, as one table with a verdict a line (on a machine with a GPU)
	$(BIN)/python -m tests.gpu

build: ## build both images as byoc-classifier-train:DEVICE and byoc-classifier-serve:DEVICE (DEVICE=cuda|cpu BASE_IMAGE=tag; DEVICE=openvino: only serving, without torch)
	$(if $(filter openvino,$(DEVICE)),,docker/build.sh train $(DEVICE))
	docker/build.sh serve $(DEVICE)

push: ## build both images, push them and write images.json (DEVICE=cuda|cpu PUSH="--tag T --region R --dry-run" REGISTRY=host)
	./build_and_push.sh all --device $(DEVICE) $(PUSH)

test-images: .venv/.ready-dev .venv-images/.ready .venv-sdk/.ready .venv-sagemaker/.ready ## test the CPU images, the push, local mode and the local SageMaker from outside, and test-inside QUICK=1 (make build DEVICE=cpu and DEVICE=openvino come first)
	$(BIN)/pytest -m docker tests
	BYOC_SERVE_IMAGE=byoc-classifier-serve:cpu $(BIN)/pytest tests/serve/test_serve.py tests/serve/test_answers.py
	@$(MAKE) --no-print-directory test-inside QUICK=1

test-inside: .venv/.ready-dev .venv-inside/.ready ## the tests inside the CPU images, with their Python, packages and code (QUICK=1 leaves out what takes minutes; make build DEVICE=cpu comes first)
	QUICK=$(QUICK) tests/inside.sh train
	QUICK=$(QUICK) tests/inside.sh serve

image-sizes: .venv/.ready-dev ## table of the images' sizes against their budgets, and OUT=file.json
	$(BIN)/python docker/sizes.py $(if $(OUT),--json "$(OUT)")

sbom: .venv-images/.ready ## what the images of DEVICE hold, as CycloneDX, with licences and known vulnerabilities, in sbom/
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
