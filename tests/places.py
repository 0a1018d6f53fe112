"""Where each file of tests runs inside the images: a file that is not named here runs in the training image."""

import os
from pathlib import Path

# Inside which image this is, "train" or "serve"; empty on the host.
INSIDE = os.environ.get("BYOC_INSIDE", "")
# Whether the files that take minutes are left out there, as CI does, where they run on the host; make test-inside runs them too.
QUICK = os.environ.get("BYOC_QUICK", "") == "1"

SERVING = {
    "test_answers",
    "test_attacks",
    "test_attacks_artifact",
    "test_attacks_bodies",
    "test_attacks_multi_model",
    "test_backend_rules",
    "test_backends",
    "test_brought_photos",
    "test_channel",
    "test_code_functions",
    "test_formats",
    "test_front",
    "test_front_answers",
    "test_front_faults",
    "test_fuzz",
    "test_gpu_backends",
    "test_gpu_errors",
    "test_gpu_passes",
    "test_gpu_share",
    "test_gpu_worker",
    "test_handler",
    "test_intake",
    "test_memory",
    "test_metrics",
    "test_model",
    "test_model_code",
    "test_model_load",
    "test_model_server",
    "test_multi_model",
    "test_multi_model_faults",
    "test_multi_model_routes",
    "test_prepare",
    "test_protocol",
    "test_serve",
    "test_serve_code",
    "test_serve_faults",
    "test_serve_limits",
    "test_serve_program",
    "test_serve_start",
    "test_serve_toolkit",
    "test_served_probabilities",
    "test_settings",
    "test_toolkit_rules",
    "test_worker",
    "test_worker_loss",
}
BOTH = {"test_cuda_libraries", "test_device", "test_environment", "test_images"}
# What asks for more than an image's packages, and why.
HOST = {
    "test_arrows": "looks at the source of every package",
    "test_attacks_stock": "needs .venv-stock",
    "test_benchmarks": "benchmarks run beside the source",
    "test_check": "the driver runs on the host",
    "test_container": "starts containers",
    "test_contract_suite": "starts containers",
    "test_docker_images": "starts containers",
    "test_dockerfiles": "looks at the source",
    "test_driver": "the driver runs on the host",
    "test_engine": "starts a Docker Engine",
    "test_gpu_agreement": "compares both programs",
    "test_gpu_script": "benchmarks run beside the source",
    "test_gpus": "runs the scripts of the host",
    "test_gpu_docs": "looks at the source",
    "test_help": "runs the scripts of the host",
    "test_local": "starts containers",
    "test_predict": "the driver runs on the host",
    "test_push": "pushes images",
    "test_push_refusals": "pushes images",
    "test_readme": "looks at the source",
    "test_results": "the driver runs on the host",
    "test_run": "the driver runs on the host",
    "test_samples": "the driver runs on the host",
    "test_serve_transform": "starts containers",
    "test_server": "the driver runs on the host",
    "test_serving_environment": "looks at the source",
    "test_setup": "makes environments",
    "test_soak": "takes minutes; make test-soak runs it",
    "test_tune": "the driver runs on the host",
}
MINUTES = {
    "test_attacks",
    "test_attacks_artifact",
    "test_attacks_multi_model",
    "test_calibrate",
    "test_features",
    "test_finetune",
    "test_fuzz",
    "test_models",
    "test_multi_model",
    "test_multi_model_faults",
    "test_pipe",
    "test_processes",
    "test_resume",
    "test_search",
    "test_serve_faults",
    "test_served_probabilities",
    "test_views",
    "test_worker_loss",
    "test_world",
}


def left_out(folder: Path) -> list[str]:
    """Return the files of tests that do not run here; none on the host."""
    if not INSIDE:
        return []
    here = SERVING | BOTH if INSIDE == "serve" else None
    names = {path.stem for path in folder.glob("test_*.py")}
    skipped = MINUTES if QUICK else set()
    left = [
        f"{name}.py"
        for name in names
        if name in HOST or name in skipped or (name not in here if here else name in SERVING)
    ]
    return [*left, "sagemaker", "aws"]  # the local SageMaker and the driver run on the host
