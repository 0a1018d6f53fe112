"""For each verb, the preparation by an administrator and the command of an engineer.

Together the commands need all actions of the policy.
"""

from tests.aws.driver import BUCKET, TRAIN, TUNE
from tests.aws.office import Office, Scenario
from tests.sagemaker.hosting import archive

ACCOUNT = "123456789012"
OF_ECR = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/byoc-classifier-serve:1.0"


def upload(office: Office) -> list[str]:
    return ["data", "upload", str(office.photos), f"s3://{BUCKET}/{office.new('up')}/"]


def upload_deleting(office: Office) -> list[str]:
    prefix = office.new("extra")
    office.emulator.client("s3").put_object(Bucket=BUCKET, Key=f"{prefix}/old.jpg", Body=b"old")
    return ["data", "upload", str(office.photos), f"s3://{BUCKET}/{prefix}/", "--delete", "--yes"]


def setup_create(office: Office) -> list[str]:
    bucket, role = office.new("byoc-made"), office.new("byoc-made")
    return ["setup", "create", "--yes", "--bucket", bucket, "--role", role]


def setup_remove(office: Office) -> list[str]:
    bucket, role = office.new("byoc-made"), office.new("byoc-made")
    office.admin.run("setup", "create", "--yes", "--bucket", bucket, "--role", role)
    return ["setup", "remove", "--yes", "--bucket", bucket, "--role", role]


def setup_register(office: Office) -> list[str]:
    bucket, role = office.new("byoc-made"), office.new("byoc-made")
    office.admin.run("setup", "create", "--yes", "--bucket", bucket, "--role", role)
    return ["setup", "register", "--bucket", bucket, "--role", role]


def setup_check(office: Office) -> list[str]:
    text = (office.engineer.folder / "byoc.toml").read_text()
    (office.engineer.folder / "byoc.toml").write_text(text.replace("byoc-classifier-train:cpu", OF_ECR))
    return ["setup", "--check"]


def train(office: Office) -> list[str]:
    return [*TRAIN, "--name", office.new("t"), "--out", str(office.engineer.folder / office.new("out"))]


def train_folder(office: Office) -> list[str]:
    arguments = [str(office.photos) if part.startswith("s3://") else part for part in TRAIN]
    return [*arguments, "--bucket", office.bucket(), "--name", office.new("t"), "--detach"]


def train_best(office: Office) -> list[str]:
    name = office.new("u")
    office.admin.run(*TUNE, "--name", name, "--trials", "1")
    return [*TRAIN, "--name", office.new("t"), "--best-of", name]


def train_role_by_name(office: Office) -> list[str]:
    return [*TRAIN, "--name", office.new("t"), "--role", "local", "--detach"]


def tune(office: Office) -> list[str]:
    return [*TUNE, "--name", office.new("u"), "--trials", "1"]


def tune_folder(office: Office) -> list[str]:
    arguments = [str(office.photos) if part.startswith("s3://") else part for part in TUNE]
    return [*arguments, "--bucket", office.bucket(), "--name", office.new("u"), "--trials", "1", "--detach"]


def tune_role_by_name(office: Office) -> list[str]:
    return [*TUNE, "--name", office.new("u"), "--trials", "1", "--role", "local", "--detach"]


def jobs(office: Office) -> list[str]:
    office.job()
    office.transformed()
    office.endpoint()
    office.admin.run(*TUNE, "--name", office.new("u"), "--trials", "1")
    return ["jobs", "--most", "100", "--calls", "100"]


def leftovers(office: Office) -> list[str]:
    office.endpoint()
    return ["jobs", "--leftovers"]


def logs(office: Office) -> list[str]:
    return ["logs", office.endpoint()]


def stop_training(office: Office) -> list[str]:
    return ["stop", office.job("--env", "DO=wait", "--detach")]


def stop_tuning(office: Office) -> list[str]:
    name = office.new("u")
    office.admin.run(*TUNE, "--name", name, "--trials", "1", "--env", "DO=wait", "--detach")
    return ["stop", name]


def stop_transform(office: Office) -> list[str]:
    return ["stop", office.transformed(slow=True)]


def prices(office: Office) -> list[str]:
    return ["prices"]


def deploy(office: Office) -> list[str]:
    return ["deploy", office.model(), "--endpoint", office.new("ep"), "--yes", "--sender", "boto3"]


def deploy_around(office: Office) -> list[str]:
    name = office.endpoint("--autoscale", "1:2", "--alarms")
    around = ["--autoscale", "1:3", "--alarms", "--bake", "0"]
    return ["deploy", office.model(), "--endpoint", name, "--yes", "--sender", "boto3", *around]


def deploy_again(office: Office) -> list[str]:
    name = office.endpoint("--autoscale", "1:2")
    return ["deploy", office.model(), "--endpoint", name, "--yes", "--sender", "boto3", "--bake", "0"]


def deploy_async(office: Office) -> list[str]:
    return [*deploy(office), "--async", "--scale-to-zero"]


def deploy_job(office: Office) -> list[str]:
    return ["deploy", office.job(), "--endpoint", office.new("ep"), "--yes", "--sender", "boto3", "--detach"]


def deploy_multi(office: Office) -> list[str]:
    office.model()
    where = ["--multi-model", f"s3://{BUCKET}/made/"]
    return ["deploy", *where, "--endpoint", office.new("ep"), "--yes", "--sender", "boto3"]


def deploy_group(office: Office) -> list[str]:
    office.package(approved=True)
    return ["deploy", "--group", "group", "--endpoint", office.new("ep"), "--yes", "--sender", "boto3", "--detach"]


def deploy_file(office: Office) -> list[str]:
    path = office.engineer.folder / f"{office.new('m')}.tar.gz"
    path.write_bytes(archive({"name": path.name.encode(), "model.json": b"{}"}))
    return ["deploy", str(path), "--endpoint", office.new("ep"), "--yes", "--sender", "boto3", "--detach"]


def deploy_role_by_name(office: Office) -> list[str]:
    return [*deploy(office), "--role", "local", "--detach"]


def deploy_of_ecr(office: Office) -> list[str]:
    return [*deploy(office), "--serve-image", OF_ECR, "--detach"]


def endpoints(office: Office) -> list[str]:
    return ["endpoints"]


def one_endpoint(office: Office) -> list[str]:
    return ["endpoints", office.endpoint("--autoscale", "1:2", "--alarms")]


def rollback(office: Office) -> list[str]:
    name = office.endpoint()
    office.admin.run("deploy", office.model(), "--endpoint", name, "--yes", "--sender", "boto3", "--bake", "0")
    return ["rollback", name, "--yes"]


def delete(office: Office) -> list[str]:
    return ["delete", office.endpoint("--autoscale", "1:2", "--alarms"), "--yes"]


def predict(office: Office) -> list[str]:
    return ["predict", str(office.photo()), "--endpoint", office.endpoint()]


def predict_async(office: Office) -> list[str]:
    return ["predict", str(office.photo()), "--endpoint", office.endpoint("--async"), "--timeout", "3"]


def transform(office: Office) -> list[str]:
    out = office.engineer.folder / office.new("answers")
    source = f"s3://{BUCKET}/photos/test/cat/"
    return ["transform", source, "--model", office.model(), "--out", str(out), "--yes", "--sender", "boto3"]


def transform_folder(office: Office) -> list[str]:
    folder = office.photo().parent
    out = ["--out", str(office.engineer.folder / office.new("answers")), "--bucket", office.bucket()]
    return ["transform", str(folder), "--model", office.model(), *out, "--yes", "--sender", "boto3"]


def transform_role_by_name(office: Office) -> list[str]:
    return [*transform(office), "--role", "local"]


def register(office: Office) -> list[str]:
    return ["register", office.model(), "--group", office.new("group"), "--yes"]


def register_file(office: Office) -> list[str]:
    return ["register", deploy_file(office)[1], "--group", office.new("group"), "--yes"]


def approve(office: Office) -> list[str]:
    return ["approve", office.package(approved=False)]


def report_job(office: Office) -> list[str]:
    return ["report", office.job()]


def report_failed_job(office: Office) -> list[str]:
    name = office.new("job")
    office.admin.run(*TRAIN, "--name", name, "--env", "DO=fail", status=1)
    return ["report", name]


def report_search(office: Office) -> list[str]:
    name = office.new("u")
    office.admin.run(*TUNE, "--name", name, "--trials", "1")
    return ["report", name]


def report_endpoint(office: Office) -> list[str]:
    return ["report", "--endpoint", office.endpoint("--autoscale", "1:2")]


SCENARIOS: dict[str, tuple[Scenario, ...]] = {
    "data upload": (upload, upload_deleting),
    "setup create": (setup_create,),
    "setup register": (setup_register,),
    "setup remove": (setup_remove,),
    "setup --check": (setup_check,),
    "train": (train, train_folder, train_best, train_role_by_name),
    "tune": (tune, tune_folder, tune_role_by_name),
    "jobs": (jobs, leftovers),
    "logs": (logs,),
    "report": (report_job, report_failed_job, report_search, report_endpoint),
    "stop": (stop_training, stop_tuning, stop_transform),
    "prices": (prices,),
    "deploy": (
        deploy,
        deploy_around,
        deploy_again,
        deploy_async,
        deploy_job,
        deploy_multi,
        deploy_group,
        deploy_file,
        deploy_role_by_name,
        deploy_of_ecr,
    ),
    "endpoints": (endpoints, one_endpoint),
    "rollback": (rollback,),
    "delete": (delete,),
    "predict": (predict, predict_async),
    "transform": (transform, transform_folder, transform_role_by_name),
    "register": (register, register_file),
    "approve": (approve,),
}
