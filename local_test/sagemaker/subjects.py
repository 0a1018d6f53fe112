"""The modules with the emulator's actions and routes; importing a module registers them."""

from collections.abc import Callable

from local_test.sagemaker import local_routes, tags
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints import actions as endpoints
from local_test.sagemaker.endpoints import configs, models, package_actions, runtime
from local_test.sagemaker.page import routes as page
from local_test.sagemaker.training import actions as training
from local_test.sagemaker.transform import actions as transform
from local_test.sagemaker.tuning import actions as tuning

SUBJECTS = (local_routes, page, tags, training, tuning, models, configs, package_actions, endpoints, runtime, transform)
# Each function ends the jobs or endpoints of a region that a killed emulator left behind, and returns a line for each of them.
END_LEFT: tuple[Callable[[Cloud], list[str]], ...] = (
    training.end_left,
    tuning.end_left,
    endpoints.end_left,
    transform.end_left,
)
