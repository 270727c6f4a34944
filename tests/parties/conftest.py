"""What the tests here share: the parties, and the programs of this repository between them."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
import servers
import tools
from botocore.config import Config

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
PROGRAMS = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"

# Whoever signs for these servers may sign as anybody.
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Cloud:
    """S3 and SQS as one of the parties sees them: buckets whose news go to a queue."""

    def __init__(self, name: str, url: str):
        self.name, self.url = name, url
        common = {
            "endpoint_url": url,
            "aws_access_key_id": AWS["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": AWS["AWS_SECRET_ACCESS_KEY"],
            "region_name": AWS["AWS_REGION"],
        }
        self.s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}), **common)
        self.sqs = boto3.client("sqs", **common)

    def environment(self) -> dict[str, str]:
        return AWS | {"AWS_ENDPOINT_URL": self.url}

    def create_queue(self, name: str) -> str:
        return self.sqs.create_queue(QueueName=name)["QueueUrl"]

    def create_bucket(self, bucket: str, queue_url: str, *, versioned: bool) -> None:
        """A bucket that tells the queue of every object that is created in it."""
        self.s3.create_bucket(Bucket=bucket)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        attributes = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        news = {"QueueArn": attributes["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [news]}
        )

    def receive_all(self, queue_url: str) -> list[dict]:
        """Every message that waits in the queue, as Lambda's event source hands them over."""
        messages = []
        while batch := self.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1, AttributeNames=["All"]
        ).get("Messages"):
            messages += [as_lambda_has_it(message) for message in batch]
        return messages


def as_lambda_has_it(message: dict) -> dict:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:dms2bq",
        "awsRegion": "us-east-1",
    }


@pytest.fixture(params=["moto", "localstack"])
def cloud(request) -> Cloud:
    return Cloud(request.param, os.environ[f"DMS2BQ_TEST_{request.param.upper()}"])


class BigQuery:
    """The embedded BigQuery, with the datasets of the samples."""

    def __init__(self, url: str):
        self.url = url

    def rows(self, table: str) -> int | None:
        """How many rows `dataset.table` has; None if there is no such table."""
        dataset, table = table.split(".", 1)
        path = f"/bigquery/v2/projects/acme-dw/datasets/{dataset}/tables/{urllib.request.quote(table)}"
        try:
            with urllib.request.urlopen(self.url + path) as answer:
                return int(json.load(answer)["numRows"])
        except urllib.error.HTTPError as error:
            assert error.code == 404, error.read()
            return None


@pytest.fixture
def bigquery(tmp_path):
    datasets = ["backoffice", "casino_a", "casino_b", "logs"]
    arguments = [f"--dataset=acme-dw.{dataset}@asia-northeast3" for dataset in datasets]
    with open(tmp_path / "bigquery.log", "wb") as log:
        process = subprocess.Popen(
            [PROGRAMS / "dms2bq", "emulator", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        said = process.stdout.readline()
        [url] = re.findall(r"http://\S+", said) or pytest.fail(f"the emulator said {said!r}")
        yield BigQuery(url)
    finally:
        process.terminate()
        process.wait(10)


class Lambda:
    """The real `bootstrap` under AWS's Runtime Interface Emulator."""

    def __init__(self, url: str, log: Path):
        self.url, self.log = url, log

    def invoke(self, messages: list[dict]) -> dict:
        """One invocation. The emulator takes them one after another."""
        body = json.dumps({"Records": messages}).encode()
        path = "/2015-03-31/functions/function/invocations"
        with urllib.request.urlopen(urllib.request.Request(self.url + path, body), timeout=120) as answer:
            text = answer.read().decode()
        try:
            return json.loads(text)
        except json.JSONDecodeError:  # It tells of a time-out with status 200 and plain text.
            pytest.fail(f"the function answered {text!r}; its output:\n{self.log.read_text()[-5000:]}")

    def lines(self) -> list[dict]:
        """What the function has logged about objects."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        lines = [line for line in map(json.loads, lines) if "outcome" in line and "key" in line]
        return [{"code": None} | line for line in lines]


@pytest.fixture
def function(tmp_path):
    """Starts functions, and ends them with the test."""
    with servers.ExitStack() as stack:

        def start(environment: dict[str, str], timeout_secs: int = 60) -> Lambda:
            port, api_port = servers.free_port(), servers.free_port()
            command = [
                str(tools.rie()),
                "--runtime-interface-emulator-address",
                f"127.0.0.1:{port}",
                "--runtime-api-address",
                f"127.0.0.1:{api_port}",
                str(PROGRAMS / "bootstrap"),
            ]
            environment = environment | {
                "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_secs),
                "DMS2BQ_MAPPINGS": environment.get("DMS2BQ_MAPPINGS", str(SAMPLES / "mappings")),
            }
            process = stack.enter_context(servers.running("rie", command, environment, port, tmp_path))
            process.wait_until_it_answers()
            return Lambda(process.url, process.log)

        yield start
