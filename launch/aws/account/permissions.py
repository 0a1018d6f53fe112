"""The IAM actions of each verb, with their resources.

The policy file is made from this table, and a test runs the verbs with that policy. An operation has the name of its IAM action, except in
S3. A create call with tags also needs sagemaker:AddTags, and a create call with a role also needs iam:PassRole (AWS's service authorisation
reference).
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
SCALING_ROLE = (
    "arn:{partition}:iam::{account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
ALARM = "arn:{partition}:cloudwatch:{region}:{account}:alarm:*"
ANY = "*"


@dataclass(frozen=True)
class Permission:
    """An action and its resource. A verb needs the action, unless `else_` says what happens without it."""

    action: str
    resource: str
    else_: str = ""


def _sagemaker(resource: str, *operations: str) -> tuple[Permission, ...]:
    return tuple(Permission(f"sagemaker:{operation}", resource) for operation in operations)


LOOK_UP = Permission("iam:GetRole", ROLE, "a role has to be named by its whole ARN")
PASS = Permission("iam:PassRole", ROLE)
QUOTAS = (
    Permission("servicequotas:ListServiceQuotas", ANY, "the plan does not say whether the quotas suffice"),
    Permission("servicequotas:GetServiceQuota", ANY, "the plan does not say whether the quotas suffice"),
    Permission("servicequotas:GetAWSDefaultServiceQuota", ANY, "the plan does not say whether the quotas suffice"),
)
LOG = Permission("logs:FilterLogEvents", LOGS, "the log is not shown")
LIST, PUT = Permission("s3:ListBucket", BUCKET), Permission("s3:PutObject", OBJECTS)
GET, DELETE = Permission("s3:GetObject", OBJECTS), Permission("s3:DeleteObject", OBJECTS)
FORGET = Permission("s3:DeleteObject", OBJECTS, "a photo that was sent to an asynchronous endpoint stays in S3")
STORED = Permission(
    "ecr:DescribeImages", REPOSITORY, "the plan does not say whether ECR holds the image, nor the image's size"
)
AROUND = (
    Permission("application-autoscaling:DescribeScalableTargets", ANY),
    Permission("application-autoscaling:DescribeScalingPolicies", ANY),
    Permission("cloudwatch:DescribeAlarms", ALARM),
)
OF_ENDPOINT = (
    *_sagemaker(ENDPOINT, "DescribeEndpoint", "ListTags"),
    *_sagemaker(CONFIG, "DescribeEndpointConfig"),
    *_sagemaker(MODEL, "DescribeModel"),
)
MAKE_MODEL = (PASS, *_sagemaker(MODEL, "CreateModel", "AddTags"))
UPDATE = (
    *_sagemaker(ENDPOINT, "UpdateEndpoint", "AddTags", "InvokeEndpoint"),
    *_sagemaker(CONFIG, "UpdateEndpoint"),
    LOG,
)
# A name can belong to a training job, a tuning job, a transform job or an endpoint, so byoc asks for all four.
DESCRIBE = (
    *_sagemaker(TRAINING, "DescribeTrainingJob"),
    *_sagemaker(TUNING, "DescribeHyperParameterTuningJob"),
    *_sagemaker(TRANSFORM, "DescribeTransformJob"),
    *_sagemaker(ENDPOINT, "DescribeEndpoint"),
)

VERBS: dict[str, tuple[Permission, ...]] = {
    "data upload": (LIST, PUT, DELETE),
    "setup create": (
        LIST,
        *(
            Permission(f"s3:{action}", BUCKET)
            for action in ("CreateBucket", "PutBucketPublicAccessBlock", "PutBucketTagging")
        ),
        *(Permission(f"iam:{action}", ROLE) for action in ("GetRole", "CreateRole", "TagRole", "PutRolePolicy")),
    ),
    "setup register": (LIST, LOOK_UP),
    "setup remove": (
        LIST,
        *(Permission(f"s3:{action}", BUCKET) for action in ("ListBucketVersions", "GetBucketTagging", "DeleteBucket")),
        *(Permission(f"iam:{action}", ROLE) for action in ("GetRole", "DeleteRole", "DeleteRolePolicy")),
    ),
    "setup --check": (
        LIST,
        Permission("iam:GetRole", ROLE, "it is not known whether SageMaker can assume the role"),
        STORED,
        *QUOTAS,
    ),
    "train": (
        LIST,
        PUT,
        GET,
        LOOK_UP,
        PASS,
        *QUOTAS,
        *_sagemaker(TRAINING, "CreateTrainingJob", "AddTags", "DescribeTrainingJob"),
        *_sagemaker(TUNING, "DescribeHyperParameterTuningJob"),  # only for train --best-of
        LOG,
    ),
    "tune": (
        LIST,
        PUT,
        LOOK_UP,
        PASS,
        *QUOTAS,
        *_sagemaker(TUNING, "CreateHyperParameterTuningJob", "AddTags", "DescribeHyperParameterTuningJob"),
        *_sagemaker(TUNING, "ListTrainingJobsForHyperParameterTuningJob"),
    ),
    "jobs": (
        *_sagemaker(ANY, "ListTrainingJobs", "ListHyperParameterTuningJobs", "ListTransformJobs", "ListEndpoints"),
        Permission("sagemaker:DescribeTrainingJob", TRAINING, "the cost of a training job is not shown"),
        Permission("sagemaker:DescribeTransformJob", TRANSFORM, "the cost of a transform job is not shown"),
        *(
            Permission(f"sagemaker:{action}", TUNING, "the cost of a tuning job is not shown")
            for action in ("DescribeHyperParameterTuningJob", "ListTrainingJobsForHyperParameterTuningJob")
        ),
        *_sagemaker(ENDPOINT, "DescribeEndpoint", "ListTags"),
        *_sagemaker(CONFIG, "DescribeEndpointConfig"),
        *_sagemaker(MODEL, "DescribeModel"),
    ),
    "logs": (*DESCRIBE, Permission("logs:FilterLogEvents", LOGS)),
    "report": (
        Permission("s3:ListBucket", BUCKET, "the report of a job shows only its description and its log"),
        Permission("s3:GetObject", OBJECTS, "the report of a job shows only its description and its log"),
        *DESCRIBE[:2],
        *_sagemaker(TUNING, "ListTrainingJobsForHyperParameterTuningJob"),
        LOG,
        *OF_ENDPOINT,
        *AROUND,
        Permission("cloudwatch:GetMetricData", ANY),
        Permission("application-autoscaling:DescribeScalingActivities", ANY, "scaling events are not shown"),
    ),
    "stop": (
        *DESCRIBE[:3],
        *_sagemaker(TRAINING, "StopTrainingJob"),
        *_sagemaker(TUNING, "StopHyperParameterTuningJob"),
        *_sagemaker(TRANSFORM, "StopTransformJob"),
        *_sagemaker(TUNING, "ListTrainingJobsForHyperParameterTuningJob"),
        LOG,
    ),
    "prices": (Permission("pricing:GetProducts", ANY),),
    "deploy": (
        LIST,
        PUT,
        GET,
        FORGET,
        LOOK_UP,
        STORED,
        *QUOTAS,
        *MAKE_MODEL,
        *_sagemaker(CONFIG, "CreateEndpointConfig", "AddTags", "CreateEndpoint"),
        *_sagemaker(ENDPOINT, "CreateEndpoint", "InvokeEndpointAsync"),
        *OF_ENDPOINT,
        *UPDATE,
        *AROUND,
        *_sagemaker(TRAINING, "DescribeTrainingJob"),
        *_sagemaker(ANY, "ListModelPackages"),
        *_sagemaker(PACKAGE, "DescribeModelPackage"),
        *(
            Permission(f"application-autoscaling:{action}", TARGET)
            for action in ("RegisterScalableTarget", "PutScalingPolicy")
        ),
        Permission("iam:CreateServiceLinkedRole", SCALING_ROLE, "the first autoscaling of an account is refused"),
        *(Permission(f"cloudwatch:{action}", ALARM) for action in ("PutMetricAlarm", "TagResource")),
    ),
    "endpoints": (*_sagemaker(ANY, "ListEndpoints"), *OF_ENDPOINT, *AROUND),
    "rollback": (*OF_ENDPOINT, *UPDATE),
    "delete": (
        *_sagemaker(ANY, "ListEndpoints", "ListEndpointConfigs", "ListModels"),
        *_sagemaker(ENDPOINT, "DescribeEndpoint", "ListTags", "DeleteEndpoint"),
        *_sagemaker(CONFIG, "DescribeEndpointConfig", "DeleteEndpointConfig", "ListTags"),
        *_sagemaker(MODEL, "DeleteModel", "ListTags"),
        *AROUND,
        *(
            Permission(f"application-autoscaling:{action}", TARGET)
            for action in ("DeregisterScalableTarget", "DeleteScalingPolicy")
        ),
        Permission("cloudwatch:DeleteAlarms", ALARM),
    ),
    "predict": (
        *_sagemaker(ENDPOINT, "InvokeEndpoint", "InvokeEndpointAsync", "DescribeEndpoint", "ListTags"),
        PUT,
        GET,
        FORGET,
    ),
    "transform": (
        *QUOTAS,
        LIST,
        PUT,
        GET,
        LOOK_UP,
        *MAKE_MODEL,
        *_sagemaker(MODEL, "DeleteModel"),
        *_sagemaker(TRANSFORM, "CreateTransformJob", "AddTags", "DescribeTransformJob"),
        LOG,
    ),
    "register": (
        GET,
        PUT,
        *_sagemaker(GROUP, "DescribeModelPackageGroup", "CreateModelPackageGroup", "CreateModelPackage", "AddTags"),
    ),
    "approve": _sagemaker(PACKAGE, "UpdateModelPackage"),
}
