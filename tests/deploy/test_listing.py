"""deploy/list_recent.py, with the AWS CLI and LocalStack's S3."""

import datetime
import importlib.util
import os
import subprocess
import sys

import boto3
import pytest
import systems

REGION = "eu-west-1"
# Everything is put now, so what is old can only be left out by its name.
TODAY = datetime.datetime.now(datetime.timezone.utc).date()
RECENT = [
    f"dms/casino-a/game/player/{TODAY:%Y/%m/%d}/{TODAY:%Y%m%d}-093015123.parquet",
    "dms/casino-a/game/a b  'c\"+%20é/LOAD00000001.parquet",
    f"dms/casino-e/game/player/{TODAY:%Y%m%d}-093015123.parquet",
    "dms/casino-e/game/player/LOAD00000001.parquet",
]
OLD = ["dms/casino-a/game/player/2022/12/01/20221201-093015123.parquet", "other/2022/12/01/x.parquet"]

spec = importlib.util.spec_from_file_location("list_recent", systems.ROOT / "deploy/list_recent.py")
list_recent = importlib.util.module_from_spec(spec)
spec.loader.exec_module(list_recent)

# Seen from the address that is listed, for files since the 1st of December 2022: one day more is looked at, for time zones.
FOLDERS = {
    "game/player/": True,
    "game/player/2022/": True,
    "game/player/2021/": False,
    "game/player/2022/12/": True,
    "game/player/2022/11/": True,
    "game/player/2022/10/": False,
    "game/player/2022/11/30/": True,
    "game/player/2022/11/29/": False,
    "game/player/2022/12/01/": True,
    "game/player/2022/12/01/23/": True,
    "game/player/2022/11/29/23/": False,
    "game/player/20221201/": True,
    "game/player/20221129/": False,
    "game/player/2022113023/": True,
    "game/player/2022112923/": False,
    "game/player/2022-12-01/": True,
    "game/player/2022-11-29-23/": False,
    "game/player/2022_11/": True,
    "game/player/202210/": False,
    # MMYYYYDD and DDMMYYYY: only when it was written tells.
    "game/player/12/2022/03/": True,
    "game/player/11/2022/05/": True,
    "game/player/12202201/": True,
    "game/player/01122022/": True,
    "game/player/01/12/2022/": True,
    # No dates.
    "game/1234/": True,
    "game/player_2021/": True,
    "": True,
}


@pytest.mark.parametrize("path, entered", FOLDERS.items())
def test_folders_of_dates_that_are_over_are_not_entered(path, entered):
    assert list_recent.Listing("acme-landing", datetime.date(2022, 12, 1)).may_hold_recent(path) == entered


@pytest.fixture(scope="module")
def s3():
    own = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=os.environ["DMS2BQ_TEST_LOCALSTACK"], **own)


@pytest.fixture(scope="module")
def bucket(s3) -> str:
    name = f"acme-landing-{os.getpid()}-{os.urandom(3).hex()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key in RECENT + OLD:
        s3.put_object(Bucket=name, Key=key, Body=b"")
    return name


def run(*addresses: str) -> subprocess.CompletedProcess:
    environment = systems.environment(AWS_ENDPOINT_URL=os.environ["DMS2BQ_TEST_LOCALSTACK"], AWS_CONFIG_FILE="/nowhere")
    command = [sys.executable, systems.ROOT / "deploy/list_recent.py", *addresses]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_what_landed_lately_is_listed_whatever_its_name(bucket):
    done = run(f"s3://{bucket}/dms/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == sorted(f"s3://{bucket}/{key}" for key in RECENT)
    assert f"s3://{bucket}/dms/: {len(RECENT)} files since " in done.stderr


def test_a_prefix_under_which_nothing_is_yet_is_no_failure(bucket):
    done = run(f"s3://{bucket}/dms/casino-new/", f"s3://{bucket}/dms/casino-e/game/player/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"s3://{bucket}/{key}" for key in RECENT[2:]]
    assert "casino-new/: 0 files" in done.stderr


def test_a_bucket_that_cannot_be_listed_is_said(bucket):
    done = run(f"s3://{bucket}-not-there/dms/")
    assert done.returncode == 1 and "-not-there/dms/ cannot be listed" in done.stderr


@pytest.mark.parametrize("addresses", [[], ["acme-landing/dms"], ["s3://"], ["s3:///dms"]])
def test_what_is_no_address_is_said_before_anybody_is_asked(addresses):
    with pytest.raises(SystemExit, match="s3://bucket/prefix"):
        list_recent.main(*addresses)


def test_a_history_of_files_in_one_folder_is_leapt_over(s3, bucket):
    prefix = "flat/game/player/"
    for number in range(1500):
        s3.put_object(Bucket=bucket, Key=f"{prefix}20220101-{number:09}.parquet", Body=b"")
    wanted = [f"{prefix}{TODAY:%Y%m%d}-093015123.parquet", f"{prefix}LOAD00000001.parquet"]
    for key in wanted:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    done = run(f"s3://{bucket}/{prefix}")
    # One page of old names, which were written now, and no second one.
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1000 + len(wanted), done.stderr
    assert [f"s3://{bucket}/{key}" for key in wanted] == done.stdout.splitlines()[-2:]
    assert "by 2 requests" in done.stderr
