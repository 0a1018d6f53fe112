"""The first real prediction of an endpoint."""

import time
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import UserError
from launch.aws.errors import AwsError
from launch.aws.hosting.invocation import Target, invoke
from launch.aws.session import Session

PHOTO = Path(__file__).with_name("photo.jpg")  # a small photo of a cat from scikit-image, which is free of rights


@dataclass(frozen=True, kw_only=True)
class Trial:
    """An endpoint's answer to one photo."""

    photo: str
    label: str
    probability: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.photo}: {self.label} {self.probability:.4f} in {self.seconds:.2f} s"


def ask(session: Session, target: Target, photo: Path | None = None) -> Trial:
    """Return an endpoint's answer to a photo. Raises AwsError if the endpoint is in service but does not answer."""
    path = photo or PHOTO
    started = time.monotonic()
    try:
        best = invoke(session, target, path)[0][0]
    except UserError as error:
        if isinstance(error, AwsError) and error.exit_status != AwsError.exit_status:
            raise
        raise AwsError(
            f"the endpoint {target.name} is in service, and does not answer a photo as byoc serve does: {error}"
        ) from None
    seconds = time.monotonic() - started
    return Trial(photo=path.name, label=best["label"], probability=best["probability"], seconds=round(seconds, 3))
