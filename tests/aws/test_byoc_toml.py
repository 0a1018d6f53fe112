"""Settings from byoc.toml, the environment and the options; refusals name the place of the wrong value."""

from argparse import Namespace
from pathlib import Path

import pytest

from classifier.errors import ConfigError
from launch.aws.keys import KEYS
from launch.aws.settings import Settings, load

WHOLE = """\
profile = "work"
region = "eu-central-1"
role = "arn:aws:iam::123456789012:role/service-role/byoc"
bucket = "my-photos"
prefix = "team/byoc"
[images]
train = "byoc-classifier-train:1.0"
serve = "byoc-classifier-serve:1.0"
[instances]
train = ["ml.g5.xlarge", "ml.g4dn.xlarge"]
serve = ["ml.c6i.large"]
transform = ["ml.c6i.xlarge"]
[limits]
max_run = 7200
ask_above = 5
[network]
subnets = ["subnet-0a1b"]
security_groups = ["sg-0a1b"]
isolation = true
encrypt_traffic = true
[keys]
volume = "alias/volume"
output = "arn:aws:kms:eu-central-1:123456789012:key/0a1b"
[tags]
team = "vision"
"cost centre" = "42"
"""


def settings(folder: Path, text: str, **options: str) -> Settings:
    (folder / "byoc.toml").write_text(text)
    return load(Namespace(**options))


def test_each_key_of_byoc_toml_fills_its_setting(folder: Path) -> None:
    read = settings(folder, WHOLE)
    plain = Settings()
    assert [name for name in KEYS if getattr(read, name) == getattr(plain, name)] == []
    assert read.train_types == ("ml.g5.xlarge", "ml.g4dn.xlarge")
    assert read.ask_above == 5.0 and read.max_run == 7200 and read.isolation is True
    assert read.tags == {"team": "vision", "cost centre": "42"}
    assert read.file == folder / "byoc.toml"


def test_a_folder_takes_the_nearest_byoc_toml_above_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "byoc.toml").write_text('bucket = "above"')
    (folder / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(folder / "a" / "b")
    assert load(Namespace()).bucket == "above"
    (folder / "a" / "byoc.toml").write_text('bucket = "nearer"')
    assert load(Namespace()).bucket == "nearer"


def test_without_a_file_the_defaults_stand(folder: Path) -> None:
    assert load(Namespace()) == Settings()


def test_the_environment_wins_over_the_file_and_options_over_both(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYOC_REGION", "us-west-2")
    monkeypatch.setenv("BYOC_BUCKET", "of-environment")
    monkeypatch.setenv("BYOC_PROFILE", "")  # an empty variable is ignored
    read = settings(folder, WHOLE, bucket="of-option")
    assert (read.profile, read.region, read.bucket) == ("work", "us-west-2", "of-option")


def test_each_setting_has_a_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "BYOC_ROLE": "byoc",
        "BYOC_IMAGES_TRAIN": "train:1",
        "BYOC_INSTANCES_SERVE": "ml.m5.large, ml.c5.large",
        "BYOC_LIMITS_MAX_RUN": "60",
        "BYOC_LIMITS_ASK_ABOVE": "2.5",
        "BYOC_NETWORK_ISOLATION": "yes",
        "BYOC_KEYS_OUTPUT": "alias/x",
        "BYOC_TAGS": "team=vision,cost=42",
    }.items():
        monkeypatch.setenv(name, text)
    read = load(Namespace())
    assert (read.role, read.train_image, read.serve_types) == ("byoc", "train:1", ("ml.m5.large", "ml.c5.large"))
    assert (read.max_run, read.ask_above, read.isolation, read.output_key) == (60, 2.5, True, "alias/x")
    assert read.tags == {"team": "vision", "cost": "42"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('regoin = "eu-central-1"', r"byoc.toml: regoin = 'eu-central-1' is not known; did you mean region\?"),
        ('[images]\ntrian = "a"', r"byoc.toml: images.trian = 'a' is not known; did you mean train\?"),
        ('train_image = "a"', r"train_image = 'a' is not known; did you mean train in \[images\]\?"),
        ('[instance]\ntrain = ["ml.m5.large"]', r"did you mean instances\?"),
        ('[images]\nrole = "r"', r"images.role = 'r' is not known; write role above the first \[table\]"),
        (
            "xyz = 1",
            r"xyz = 1 is not known; the known keys are bucket, images, instances, keys, limits, network, prefix",
        ),
        ("region = 3", r"byoc.toml: region is 3; it must be a region, as in 'eu-central-1'"),
        ('region = "Frankfurt"', r"region is 'Frankfurt'; it must be a region"),
        ('bucket = "s3://photos"', r"bucket is 's3://photos'; it must be a bucket's name: .* without s3://"),
        ('role = "arn:aws:iam::1:role/x"', r"role is .*; it must be a role's ARN"),
        ('prefix = "/byoc/"', r"prefix is '/byoc/'; it must be a prefix of keys, without / at its ends"),
        ("images = 3", r"images is 3; it must be a table, \[images\]"),
        ('[instances]\ntrain = "ml.m5.large"', r"instances.train is 'ml.m5.large'; it must be a list"),
        ("[instances]\ntrain = []", r"instances.train is \[\]; it must be a list of instance types"),
        ('[instances]\nserve = ["m5.large"]', r"instances.serve is \['m5.large'\]"),
        ('[limits]\nmax_run = "60"', r"limits.max_run is '60'; it must be a time in whole seconds"),
        ("[limits]\nmax_run = true", r"limits.max_run is True"),
        (
            "[limits]\nmax_run = 0",
            r"limits.max_run is 0; it must be a time in whole seconds, 1 to 2419200",
        ),
        ("[limits]\nask_above = -1", r"limits.ask_above is -1; it must be an amount of money"),
        ("[limits]\nask_above = nan", r"limits.ask_above is nan"),
        ("[network]\nisolation = 1", r"network.isolation is 1; it must be true or false"),
        ('[network]\nsubnets = ["subnet-1"]', r"names subnets alone; \[network\] needs both"),
        ("[tags]\nteam = 1", r"tags is \{'team': 1\}; it must be at most 50 pairs"),
        ('[tags]\n"aws:team" = "x"', r"none of which begins with aws:"),
        ("region = ", r"byoc.toml is not valid TOML"),
    ],
)
def test_what_cannot_be_used_is_refused_by_file_key_and_value(text: str, problem: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=problem) as refused:
        settings(folder, text)
    assert str(folder / "byoc.toml") in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("BYOC_LIMITS_MAX_RUN", "1h", "BYOC_LIMITS_MAX_RUN is '1h'; it must be a time in whole seconds"),
        ("BYOC_NETWORK_ISOLATION", "maybe", "BYOC_NETWORK_ISOLATION is 'maybe'; it must be true or false"),
        ("BYOC_TAGS", "vision", "BYOC_TAGS is 'vision'; it must be"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    name: str, text: str, problem: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigError, match=problem):
        load(Namespace())


def test_an_option_that_cannot_be_used_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--region is 'here'; it must be a region"):
        load(Namespace(region="here"))


def test_a_file_that_is_not_utf_8_is_named(folder: Path) -> None:
    (folder / "byoc.toml").write_bytes(b"region = '\xff'")
    with pytest.raises(ConfigError, match=r"byoc\.toml is not valid TOML"):
        load(Namespace())


def test_a_misspelt_variable_is_refused_with_the_right_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYOC_REGOIN", "eu-central-1")
    with pytest.raises(ConfigError, match="BYOC_REGOIN has no effect; did you mean BYOC_REGION"):
        load(Namespace())


def test_the_emulators_variable_is_not_taken_for_a_misspelt_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYOC_EMULATOR", "http://127.0.0.1:9")
    assert load(Namespace()).region == ""
