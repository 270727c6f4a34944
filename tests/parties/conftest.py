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

    def create_queue(self, name: str, **attributes: str) -> str:
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def attribute(self, queue_url: str, name: str) -> str:
        asked = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name])
        return asked["Attributes"][name]

    def create_bucket(self, bucket: str, queue_url: str, *, versioned: bool) -> None:
        """A bucket that tells the queue of every object that is created in it."""
        self.s3.create_bucket(Bucket=bucket)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        news = {"QueueArn": self.attribute(queue_url, "QueueArn"), "Events": ["s3:ObjectCreated:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [news]}
        )

    def receive_all(self, queue_url: str, wait_secs: int = 1) -> list[dict]:
        """Every message that waits in the queue, as Lambda's event source hands them over."""
        queue_arn = self.attribute(queue_url, "QueueArn")
        messages = []
        while batch := self.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_secs, AttributeNames=["All"]
        ).get("Messages"):
            messages += [as_lambda_has_it(message, queue_arn) for message in batch]
        return messages


def as_lambda_has_it(message: dict, queue_arn: str) -> dict:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": "us-east-1",
    }


@pytest.fixture(params=["moto", "localstack"])
def cloud(request) -> Cloud:
    return Cloud(request.param, os.environ[f"DMS2BQ_TEST_{request.param.upper()}"])


class BigQuery:
    """The embedded BigQuery, which can be stopped and started again: its address and its folder stay."""

    def __init__(self, folder: Path, datasets: list[str]):
        self.folder, self.datasets = folder, datasets
        self.port, self.process = 0, None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [PROGRAMS / "dms2bq", "emulator", f"--port={self.port}", f"--data={self.folder / 'bigquery'}"]
        command += [f"--dataset=acme-dw.{dataset}@asia-northeast3" for dataset in self.datasets]
        with open(self.folder / "bigquery.log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        said = self.process.stdout.readline()
        [port] = re.findall(r"http://\S+:(\d+)", said) or pytest.fail(f"the emulator said {said!r}")
        self.port = int(port)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def rows(self, table: str) -> int | None:
        """How many rows `dataset.table` has; None if there is no such table."""
        dataset, table = table.split(".", 1)
        try:
            return int(self.call("GET", f"datasets/{dataset}/tables/{urllib.request.quote(table)}")["numRows"])
        except urllib.error.HTTPError as error:
            assert error.code == 404, error.read()
            return None

    def call(self, method: str, path: str, content=None):
        """A call of the REST API, below the project."""
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}/bigquery/v2/projects/acme-dw/{path}", body, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"null")


@pytest.fixture
def bigquery(tmp_path):
    """With the datasets of the samples."""
    bigquery = BigQuery(tmp_path, ["backoffice", "casino_a", "casino_b", "logs"])
    bigquery.start()
    try:
        yield bigquery
    finally:
        bigquery.stop()


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
        return [line for line in self.outcomes() if "key" in line]

    def outcomes(self) -> list[dict]:
        """What the function has logged about objects, and about messages that name none."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [{"code": None} | line for line in map(json.loads, lines) if "outcome" in line]


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
