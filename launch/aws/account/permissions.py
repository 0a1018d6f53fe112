"""The IAM actions of each verb, with their resources; the policy file is made from this table, and a test runs the verbs on it.

Names of operations are IAM's actions, except in S3. A create call with tags also needs sagemaker:AddTags, and one with a role
iam:PassRole, by AWS's service authorisation reference.
"""

from dataclasses import dataclass

SAGEMAKER = "arn:{partition}:sagemaker:{region}:{account}:"
TRAINING, TUNING, TRANSFORM = (
    f"{SAGEMAKER}{kind}/*" for kind in ("training-job", "hyper-parameter-tuning-job", "transform-job")
)
MODEL, CONFIG, ENDPOINT = (f"{SAGEMAKER}{kind}/*" for kind in ("model", "endpoint-config", "endpoint"))
GROUP, PACKAGE = f"{SAGEMAKER}model-package-group/*", f"{SAGEMAKER}model-package/*"
BUCKET, OBJECTS = "arn:{partition}:s3:::{bucket}", "arn:{partition}:s3:::{bucket}/*"
ROLE = "arn:{partition}:iam::{account}:role/{role}"
LOGS = "arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/*"
REPOSITORY = "arn:{partition}:ecr:{region}:{account}:repository/byoc-classifier-*"
TARGET = "arn:{partition}:application-autoscaling:{region}:{account}:scalable-target/*"
ALARM = "arn:{partition}:cloudwatch:{region}:{account}:alarm:*"
ANY = "*"


@dataclass(frozen=True)
class Permission:
    """An action and its resource. Where `else_` is not empty, the verb works without it, and that is what it does instead."""

    action: str
    resource: str
    else_: str = ""


def _sagemaker(resource: str, *operations: str) -> tuple[Permission, ...]:
    return tuple(Permission(f"sagemaker:{operation}", resource) for operation in operations)


LOOK_UP = Permission("iam:GetRole", ROLE, "a role is named by its ARN")
PASS = Permission("iam:PassRole", ROLE)
QUOTAS = tuple(
    Permission(f"servicequotas:{operation}", ANY, "quotas are not compared with the plan")
    for operation in ("ListServiceQuotas", "GetServiceQuota", "GetAWSDefaultServiceQuota")
)
LOG = Permission("logs:FilterLogEvents", LOGS)
SEND = (Permission("s3:ListBucket", BUCKET), Permission("s3:PutObject", OBJECTS))
READ = Permission("s3:GetObject", OBJECTS)

VERBS: dict[str, tuple[Permission, ...]] = {
    "data upload": (*SEND, Permission("s3:DeleteObject", OBJECTS)),
    "setup create": (
        Permission("s3:ListBucket", BUCKET),
        Permission("s3:CreateBucket", BUCKET),
        Permission("s3:PutBucketPublicAccessBlock", BUCKET),
        Permission("s3:PutBucketTagging", BUCKET),
        Permission("iam:GetRole", ROLE),
        Permission("iam:CreateRole", ROLE),
        Permission("iam:TagRole", ROLE),
        Permission("iam:PutRolePolicy", ROLE),
    ),
    "setup register": (Permission("s3:ListBucket", BUCKET), LOOK_UP),
    "setup remove": (
        Permission("s3:ListBucket", BUCKET),
        Permission("s3:ListBucketVersions", BUCKET),
        Permission("s3:GetBucketTagging", BUCKET),
        Permission("s3:DeleteBucket", BUCKET),
        Permission("iam:GetRole", ROLE),
        Permission("iam:DeleteRole", ROLE),
        Permission("iam:DeleteRolePolicy", ROLE),
    ),
    "setup --check": (
        Permission("s3:ListBucket", BUCKET),
        Permission("iam:GetRole", ROLE, "it is not known whether SageMaker may take the role on"),
        Permission("ecr:DescribeImages", REPOSITORY, "it is not known whether ECR holds the images"),
        *QUOTAS,
    ),
}
