"""`dms2bq doctor` against a whole deployment: LocalStack's and moto's S3, SQS, Lambda and STS, and the embedded BigQuery.

First everything as it should be, and doctor must find nothing. Then one thing at a time is broken, and doctor must find
just that: the code, how bad it is, a remedy that names the fix, and the exit code. What only words can break (a policy's
conditions, a filter's spelling) is in tests/cases/doctor.
"""

import io
import json
import os
import subprocess
import threading
import time
import uuid
import zipfile
from dataclasses import dataclass

import boto3
import pytest
from between import Answer, between
from conftest import AWS, PROGRAMS, BigQuery, Cloud

FINE, ERROR, WARNINGS = 0, 1, 3


@dataclass
class Told:
    exit_code: int
    findings: list[dict]

    @property
    def problems(self) -> list[dict]:
        return [finding for finding in self.findings if finding["level"] in ("error", "warning")]

    def of(self, hop: str) -> list[dict]:
        return [finding for finding in self.findings if finding["hop"] == hop]


class Deployment:
    """A bucket, a queue with a dead-letter queue, a function and its event source, a mapping and a dataset: as they should be."""

    def __init__(self, cloud: Cloud, bigquery: BigQuery, aws_url: str, bigquery_url: str, folder):
        self.cloud, self.bigquery, self.folder = cloud, bigquery, folder
        name = uuid.uuid4().hex[:10]
        self.name, self.bucket, self.function = name, f"landing-{name}", f"dms2bq-{name}"
        common = {
            "endpoint_url": cloud.url,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "region_name": AWS["AWS_REGION"],
        }
        self.lambda_, self.iam = boto3.client("lambda", **common), boto3.client("iam", **common)
        self.account = boto3.client("sts", **common).get_caller_identity()["Account"]
        self.environment = AWS | {
            "AWS_ENDPOINT_URL": aws_url,
            "BIGQUERY_EMULATOR_HOST": bigquery_url,
            "DMS2BQ_MAPPINGS": str(folder / "mappings"),
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin",
        }
        self.write_mapping()
        self.make_queues()
        self.make_bucket()
        self.make_function()

    def write_mapping(self, folder: str = "dms", **destination: str) -> None:
        (self.folder / "mappings").mkdir(exist_ok=True)
        mapping = {
            "source": {"bucket": self.bucket, "bucket_folder": folder},
            "destination": {"project": "acme-dw", "location": "asia-northeast3", "dataset": "casino_a"} | destination,
            "tables": [{"schema": "game", "table": "player"}],
        }
        (self.folder / "mappings/landing.json").write_text(json.dumps(mapping))

    def publish_garbage(self) -> None:
        self.cloud.s3.put_object(Bucket=self.bucket, Key="published/CURRENT", Body=b"garbage")
        published = f"s3://{self.bucket}/published"
        self.set_function(Environment={"Variables": self.variables(DMS2BQ_MAPPINGS=published)})

    def make_queues(self) -> None:
        self.dead = self.cloud.create_queue(f"dead-{self.name}", MessageRetentionPeriod="1209600")
        self.queue = self.cloud.create_queue(
            f"queue-{self.name}", VisibilityTimeout="721", MessageRetentionPeriod="345600"
        )
        self.dead_arn = self.cloud.attribute(self.dead, "QueueArn")
        self.queue_arn = self.cloud.attribute(self.queue, "QueueArn")
        allow = {"redrivePermission": "byQueue", "sourceQueueArns": [self.queue_arn]}
        self.set_dead(RedriveAllowPolicy=json.dumps(allow))
        self.redrive(50)
        self.admit(f"arn:aws:s3:::{self.bucket}")

    def set_queue(self, **attributes: str) -> None:
        self.cloud.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes=attributes)

    def set_dead(self, **attributes: str) -> None:
        self.cloud.sqs.set_queue_attributes(QueueUrl=self.dead, Attributes=attributes)

    def redrive(self, receives: int) -> None:
        policy = {"deadLetterTargetArn": self.dead_arn, "maxReceiveCount": receives}
        self.set_queue(RedrivePolicy=json.dumps(policy))

    def admit(self, source_arn: str, service: str = "s3.amazonaws.com") -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": self.queue_arn,
            "Condition": {
                "ArnLike": {"aws:SourceArn": source_arn},
                "StringEquals": {"aws:SourceAccount": self.account},
            },
        }
        self.set_queue(Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    def make_bucket(self) -> None:
        self.cloud.s3.create_bucket(Bucket=self.bucket)
        self.cloud.s3.put_object(Bucket=self.bucket, Key="dms/game/player/LOAD00000001.parquet", Body=b"PAR1PAR1")
        self.notify()

    def notify(self, events: str = "s3:ObjectCreated:*", queue_arn: str | None = None, **rules: str) -> None:
        rules = {"prefix": "dms/"} | rules
        news = {
            "QueueArn": queue_arn or self.queue_arn,
            "Events": [events],
            "Filter": {"Key": {"FilterRules": [{"Name": name, "Value": value} for name, value in rules.items()]}},
        }
        self.put_notifications({"QueueConfigurations": [news]})

    def put_notifications(self, configuration: dict) -> None:
        self.cloud.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration=configuration, SkipDestinationValidation=True
        )

    def make_function(self) -> None:
        self.role = self.iam.create_role(RoleName=self.function, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        self.create_function()
        self.make_event_source()

    def create_function(self, **changed) -> None:
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("bootstrap", "#!/bin/sh\n")
        settings = {"Timeout": 120, "MemorySize": 512, "Environment": {"Variables": self.variables()}} | changed
        self.lambda_.create_function(
            FunctionName=self.function,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Architectures=["arm64"],
            Role=self.role,
            Code={"ZipFile": package.getvalue()},
            **settings,
        )

    def variables(self, **changed: str) -> dict[str, str]:
        provider = "projects/1/locations/global/workloadIdentityPools/amazon/providers/lambda"
        all_of_them = {"DMS2BQ_PARTIAL_BATCH_RESPONSE": "on", "DMS2BQ_GOOGLE_PROVIDER": provider} | changed
        return {name: value for name, value in all_of_them.items() if value}

    def set_function(self, **settings) -> None:
        """Makes it anew: LocalStack updates no function that has failed."""
        self.delete_event_source()
        try:
            self.lambda_.delete_function(FunctionName=self.function)
        except self.lambda_.exceptions.ResourceNotFoundException:
            pass  # The first try answered with an error, and deleted it.
        self.create_function(**settings)
        self.make_event_source()

    def make_event_source(self, **changed) -> None:
        settings = {
            "BatchSize": 10,
            "MaximumBatchingWindowInSeconds": 1,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 10},
        } | changed
        settings = {name: value for name, value in settings.items() if value is not None}
        made = self.lambda_.create_event_source_mapping(
            FunctionName=self.function, EventSourceArn=self.queue_arn, **settings
        )
        self.event_source = made["UUID"]
        self.wait_for_event_source("Enabled" if settings.get("Enabled", True) else "Disabled")

    def remake_event_source(self, **changed) -> None:
        self.delete_event_source()
        self.make_event_source(**changed)

    def delete_event_source(self) -> None:
        self.lambda_.delete_event_source_mapping(UUID=self.event_source)
        deadline = time.monotonic() + 20
        while self.lambda_.list_event_source_mappings(FunctionName=self.function)["EventSourceMappings"]:
            assert time.monotonic() < deadline, "the event source does not go away"
            time.sleep(0.1)

    def close(self) -> None:
        """LocalStack goes on polling for every event source, which the other tests would feel."""
        for source in self.lambda_.list_event_source_mappings(FunctionName=self.function)["EventSourceMappings"]:
            self.lambda_.delete_event_source_mapping(UUID=source["UUID"])

    def wait_for_event_source(self, state: str) -> None:
        deadline = time.monotonic() + 20
        while self.lambda_.get_event_source_mapping(UUID=self.event_source)["State"] != state:
            assert time.monotonic() < deadline, f"the event source does not become {state}"
            time.sleep(0.1)

    def doctor(self, *arguments: str, **environment: str) -> Told:
        command = [PROGRAMS / "dms2bq", "doctor", "--format", "json", *(arguments or ("--function", self.function))]
        done = subprocess.run(
            command, env=self.environment | environment, capture_output=True, text=True, timeout=120
        )
        assert not done.stderr, done.stderr
        return Told(done.returncode, [json.loads(line) for line in done.stdout.splitlines()])

    def tables(self) -> list[str]:
        listed = self.bigquery.call("GET", "datasets/casino_a/tables").get("tables", [])
        return [table["tableReference"]["tableId"] for table in listed]


def active(request, forward):
    """LocalStack's functions fail for want of a container engine. To doctor they are shown as active."""
    answer = forward()
    if request.path.endswith("/configuration") and request.method == "GET":
        content = json.loads(answer.body) | {"State": "Active", "StateReason": None}
        return Answer.json(answer.status, content)
    return answer


@pytest.fixture
def warehouse(tmp_path):
    warehouse = BigQuery(tmp_path, ["casino_a"])
    warehouse.start()
    try:
        yield warehouse
    finally:
        warehouse.stop()


@pytest.fixture
def ways(warehouse):
    """What stands between doctor and the two clouds."""
    with between(os.environ["DMS2BQ_TEST_LOCALSTACK"]) as aws, between(warehouse.url) as google:
        aws.rule = active
        yield aws, google


@pytest.fixture
def deployment(warehouse, ways, tmp_path):
    aws, google = ways
    cloud = Cloud("localstack", os.environ["DMS2BQ_TEST_LOCALSTACK"])
    deployment = Deployment(cloud, warehouse, aws.url, google.url, tmp_path)
    yield deployment
    deployment.close()


def test_a_deployment_as_it_should_be_has_no_findings(cloud, warehouse, tmp_path):
    with between(cloud.url) as aws:
        aws.rule = active
        deployment = Deployment(cloud, warehouse, aws.url, warehouse.url, tmp_path)
        told = deployment.doctor()
        deployment.close()
    assert told.problems == []
    assert told.exit_code == FINE
    assert {finding["hop"] for finding in told.findings if finding["level"] == "fine"} == {
        "mappings", "aws", "bucket", "notification", "queue", "queue_policy", "dead_letters", "event_source",
        "function", "google", "dataset", "clock",
    }  # fmt: skip
    assert deployment.tables() == []


def test_doctor_changes_nothing_and_deletes_what_it_makes(deployment, ways):
    aws, google = ways
    assert deployment.doctor().exit_code == FINE
    assert {(seen.method, seen.path.split("?")[0].split("/")[1]) for seen in aws.seen if seen.method == "PUT"} == set()
    changes = [(seen.method, seen.path.split("/")[-1].split("?")[0]) for seen in google.seen if seen.method != "GET"]
    assert [method for method, _ in changes] == ["POST", "POST", "DELETE"]
    [made] = [json.loads(seen.body) for seen in google.seen if seen.method == "POST" and seen.path.endswith("/tables")]
    lives_ms = int(made["expirationTime"]) - time.time() * 1000
    assert 0 < lives_ms <= 3_600_000
    assert changes[2][1] == made["tableReference"]["tableId"]


# Each: how it is broken, and what of it doctor must find, and nothing else: codes, exit code, words of the remedy.
BAD_STATES = {
    "a visibility below six time-outs": (
        lambda it: it.set_queue(VisibilityTimeout="300"),
        ["doctor.visibility"], WARNINGS, '"VisibilityTimeout":"721"',
    ),
    "a maxReceiveCount of three": (lambda it: it.redrive(3), ["doctor.max_receive_count"], WARNINGS, "maxReceiveCount"),
    "a retention of a day": (
        lambda it: it.set_queue(MessageRetentionPeriod="86400"),
        ["doctor.retention"], WARNINGS, '"MessageRetentionPeriod":"345600"',
    ),
    "no dead-letter queue": (
        lambda it: it.set_queue(RedrivePolicy=""),
        ["doctor.dead_letters_missing"], ERROR, "RedrivePolicy",
    ),
    "a dead-letter queue that keeps no longer than the queue": (
        lambda it: it.set_dead(MessageRetentionPeriod="345600"),
        ["doctor.dead_letter_retention"], ERROR, '"MessageRetentionPeriod":"1209600"',
    ),
    "a dead-letter queue that does not admit the queue": (
        lambda it: it.set_dead(RedriveAllowPolicy=json.dumps({"redrivePermission": "denyAll"})),
        ["doctor.redrive_not_allowed"], ERROR, "RedriveAllowPolicy",
    ),
    "messages in the dead-letter queue": (
        lambda it: it.cloud.sqs.send_message(QueueUrl=it.dead, MessageBody="{}"),
        ["doctor.dead_letters_waiting"], WARNINGS, "redrive",
    ),
    "a dead-letter queue that was deleted": (
        lambda it: it.cloud.sqs.delete_queue(QueueUrl=it.dead),
        ["doctor.missing"], ERROR, "make it",
    ),
    "a queue policy for another bucket": (
        lambda it: it.admit("arn:aws:s3:::somebody-else"),
        ["doctor.queue_policy"], ERROR, "s3.amazonaws.com",
    ),
    "no notification": (
        lambda it: it.put_notifications({}),
        ["doctor.notification_missing"], ERROR, "s3:ObjectCreated:*",
    ),
    "a notification to another queue": (
        lambda it: it.notify(queue_arn=it.dead_arn),
        ["doctor.notification_elsewhere"], ERROR, "keep what is there",
    ),
    "a notification of .parquet alone": (
        lambda it: it.notify(suffix=".parquet"),
        ["doctor.notification_suffix"], WARNINGS, "Remove the suffix",
    ),
    "a notification of a part of the prefix": (
        lambda it: it.notify(prefix="dms/game/"),
        ["doctor.notification_prefix"], WARNINGS, "dms/",
    ),
    "a notification that leaves out uploads in parts": (
        lambda it: it.notify(events="s3:ObjectCreated:Put"),
        ["doctor.notification_events"], ERROR, "s3:ObjectCreated:*",
    ),
    "an event source that ignores partial replies, and a function that relies on them": (
        lambda it: it.remake_event_source(FunctionResponseTypes=None),
        ["doctor.messages_deleted"], ERROR, "ReportBatchItemFailures",
    ),
    "a function that does not know of partial replies": (
        lambda it: it.set_function(Environment={"Variables": it.variables(DMS2BQ_PARTIAL_BATCH_RESPONSE="")}),
        ["doctor.partial_replies_off"], WARNINGS, "DMS2BQ_PARTIAL_BATCH_RESPONSE=on",
    ),
    "an event source that is switched off": (
        lambda it: it.remake_event_source(Enabled=False),
        ["doctor.event_source_disabled"], ERROR, "--enabled",
    ),
    "no event source": (
        lambda it: it.delete_event_source(),
        ["doctor.event_source_missing"], ERROR, "create-event-source-mapping",
    ),
    "a long batching window": (
        lambda it: it.remake_event_source(MaximumBatchingWindowInSeconds=60, BatchSize=10) or it.set_queue(VisibilityTimeout="780"),
        ["doctor.batching_window"], WARNINGS, "--maximum-batching-window-in-seconds",
    ),
    "no maximum concurrency": (
        lambda it: it.remake_event_source(ScalingConfig=None),
        ["doctor.concurrency_unbounded"], WARNINGS, "MaximumConcurrency=10",
    ),
    "a short time-out": (lambda it: it.set_function(Timeout=30), ["doctor.function_timeout"], WARNINGS, "--timeout 120"),
    "no way to sign in to Google": (
        lambda it: it.set_function(Environment={"Variables": it.variables(DMS2BQ_GOOGLE_PROVIDER="")}),
        ["doctor.function_no_google"], ERROR, "DMS2BQ_GOOGLE_PROVIDER",
    ),
    "an emulator for a function": (
        lambda it: it.set_function(Environment={"Variables": it.variables(BIGQUERY_EMULATOR_HOST="http://10.0.0.1")}),
        ["doctor.function_emulator"], ERROR, "Remove BIGQUERY_EMULATOR_HOST",
    ),
    "a provider that is none, a log level without metrics and a variable that is misspelt": (
        lambda it: it.set_function(Environment={"Variables": it.variables(
            DMS2BQ_GOOGLE_PROVIDER="banana", RUST_LOG="error", DMS2BQ_MAPPING="s3://acme/mappings")}),
        ["doctor.variable_refused", "doctor.log_level", "doctor.variable_unknown"], ERROR, "DMS2BQ_MAPPINGS",
    ),
    "mappings in no bucket": (
        lambda it: it.set_function(Environment={"Variables": it.variables(DMS2BQ_MAPPINGS="s3://")}),
        ["doctor.variable_refused"], ERROR, "s3://bucket/prefix",
    ),
    "a delivery delay": (
        lambda it: it.set_queue(DelaySeconds="900"), ["doctor.delivery_delay"], WARNINGS, '"DelaySeconds":"0"',
    ),
    "published mappings that are not there": (
        lambda it: it.set_function(Environment={"Variables": it.variables(DMS2BQ_MAPPINGS=f"s3://{it.bucket}/nothing")}),
        ["doctor.mappings_unreadable"], ERROR, "dms2bq publish",
    ),
    "published mappings whose pointer is garbage": (
        lambda it: it.publish_garbage(), ["doctor.mappings_unreadable"], ERROR, "publish again",
    ),
    "published mappings in a bucket that is not there": (
        lambda it: it.set_function(Environment={"Variables": it.variables(DMS2BQ_MAPPINGS=f"s3://no-{it.bucket}/mappings")}),
        ["doctor.missing"], ERROR, "no such bucket",
    ),
    "a notification whose prefix is misspelt": (
        lambda it: it.notify(prefix="dsm/"), ["doctor.notification_missing"], ERROR, "Set the prefix of that notification to dms/",
    ),
    "a mapping whose prefix is misspelt": (
        lambda it: it.write_mapping(folder="dsm"),
        ["doctor.prefix_empty", "doctor.notification_missing"], ERROR, "bucket_folder",
    ),
    "one environment reserved": (
        lambda it: it.lambda_.put_function_concurrency(FunctionName=it.function, ReservedConcurrentExecutions=1),
        ["doctor.concurrency_reserved"], WARNINGS, "put-function-concurrency",
    ),
    "a function that reserves nothing": (
        lambda it: it.lambda_.put_function_concurrency(FunctionName=it.function, ReservedConcurrentExecutions=0),
        ["doctor.function_stopped"], ERROR, "delete-function-concurrency",
    ),
    "an empty prefix": (
        lambda it: it.cloud.s3.delete_object(Bucket=it.bucket, Key="dms/game/player/LOAD00000001.parquet"),
        ["doctor.prefix_empty"], WARNINGS, "BucketFolder",
    ),
    "a dataset that is not there": (
        lambda it: it.write_mapping(dataset="nowhere"), ["doctor.missing"], ERROR, "mk --dataset acme-dw:nowhere",
    ),
    "a dataset in another location": (
        lambda it: it.write_mapping(location="US"), ["doctor.dataset_location"], ERROR, "asia-northeast3",
    ),
    "mappings with a problem": (
        lambda it: it.write_mapping(projekt="acme-dw"), ["doctor.mappings_faulty"], ERROR, "dms2bq check",
    ),
}  # fmt: skip


@pytest.mark.parametrize("state", BAD_STATES)
def test_each_bad_state_is_found_and_nothing_else(deployment, state):
    break_it, codes, exit_code, remedy = BAD_STATES[state]
    break_it(deployment)
    told = deployment.doctor()
    assert [problem["code"] for problem in told.problems] == codes, told.problems
    assert told.exit_code == exit_code
    assert remedy in told.problems[-1]["remedy"]
    assert deployment.tables() == []


def events(it: Deployment):
    return boto3.client(
        "events", endpoint_url=it.cloud.url, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )


def by_event_bridge(it: Deployment, pattern: dict) -> None:
    """The news take the way by EventBridge instead."""
    it.put_notifications({"EventBridgeConfiguration": {}})
    rule = events(it).put_rule(Name=it.function, EventPattern=json.dumps(pattern))["RuleArn"]
    events(it).put_targets(Rule=it.function, Targets=[{"Id": "queue", "Arn": it.queue_arn}])
    it.admit(rule, "events.amazonaws.com")


def test_a_topic_of_somebodys_is_not_taken_for_the_way_beside_event_bridge(deployment):
    of_bucket = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [deployment.bucket]}}}
    by_event_bridge(deployment, of_bucket)
    audit = {"TopicArn": f"arn:aws:sns:us-east-1:{deployment.account}:audit", "Events": ["s3:ObjectCreated:*"]}
    deployment.put_notifications({"EventBridgeConfiguration": {}, "TopicConfigurations": [audit]})
    assert deployment.doctor().problems == []
    events(deployment).remove_targets(Rule=deployment.function, Ids=["queue"])
    assert [problem["code"] for problem in deployment.doctor().problems] == ["doctor.rule_missing"]


def test_a_rule_of_event_bridge_is_read_and_held_against_the_files_of_dms(deployment):
    of_bucket = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [deployment.bucket]}}}
    by_event_bridge(deployment, of_bucket)
    told = deployment.doctor()
    assert told.problems == []
    assert "EventBridge" in told.of("notification")[0]["message"]
    by_event_bridge(deployment, of_bucket | {"detail": {"object": {"key": [{"wildcard": "*/LOAD*"}]}}})
    told = deployment.doctor()
    assert [problem["code"] for problem in told.problems] == ["doctor.rule_missing"]
    assert "changes" in told.problems[0]["message"] and deployment.bucket in told.problems[0]["remedy"]


def refuse(status: int, reason: str, *words: str):
    """Refuses the requests whose method and path have these words in them, in Google's form."""

    def rule(request, forward):
        if all(word in f"{request.method} {request.path}" for word in words):
            error = {"code": status, "message": f"Access Denied: {reason}", "errors": [{"reason": reason}]}
            return Answer.json(status, {"error": error})
        return forward()

    return rule


# Each: which call Google refuses, the codes, words of the remedy, and whether the table is gone all the same.
REFUSALS = {
    "no right to read the dataset": (("GET", "/datasets/casino_a"), ["doctor.denied"], "bigquery.dataEditor"),
    "no right to make tables": (("POST", "/tables"), ["doctor.write_failed"], "bigquery.tables.create"),
    "no right to make jobs": (("POST", "/upload/"), ["doctor.write_failed"], "bigquery.jobs.create"),
    "no right to read jobs": (("GET", "/jobs/"), ["doctor.write_failed"], "bigquery.jobs.get"),
    "no right to delete the table": (("DELETE", "/tables/"), ["doctor.table_left"], "within the hour"),
}


@pytest.mark.parametrize("state", REFUSALS)
def test_a_right_that_google_does_not_give_is_named_and_the_table_goes_all_the_same(deployment, ways, state):
    words, codes, remedy = REFUSALS[state]
    ways[1].rule = refuse(403, "accessDenied", *words)
    told = deployment.doctor()
    assert [problem["code"] for problem in told.problems] == codes, told.problems
    assert remedy in told.problems[0]["remedy"]
    assert told.exit_code == (WARNINGS if codes == ["doctor.table_left"] else ERROR)
    assert bool(deployment.tables()) == (codes == ["doctor.table_left"])


def test_credentials_that_google_refuses_are_the_finding_and_datasets_are_not_looked_at(deployment, ways):
    ways[1].rule = refuse(401, "authError", "/")
    told = deployment.doctor()
    assert [(problem["hop"], problem["code"]) for problem in told.problems] == [("google", "doctor.denied")]
    assert [finding["level"] for finding in told.of("dataset")] == ["not_looked"]


def test_a_google_that_is_out_of_reach_is_told_within_its_time_out(deployment):
    told = deployment.doctor(BIGQUERY_EMULATOR_HOST="http://127.0.0.1:9")
    assert [(problem["hop"], problem["code"]) for problem in told.problems] == [("google", "doctor.unreachable")]
    assert told.exit_code == ERROR


def test_an_aws_that_is_out_of_reach_is_told_once_with_its_address(deployment):
    told = deployment.doctor(AWS_ENDPOINT_URL="http://127.0.0.1:9")
    [problem] = told.problems
    assert (problem["hop"], problem["code"]) == ("aws", "doctor.unreachable")
    assert "http://127.0.0.1:9" in problem["message"] and AWS["AWS_REGION"] in problem["message"]
    assert "AWS_ENDPOINT_URL" in problem["remedy"]
    not_looked = {finding["hop"]: finding["message"] for finding in told.findings if finding["level"] == "not_looked"}
    assert set(not_looked) == {"bucket", "queue", "event_source", "function"}
    assert all("AWS cannot be reached" in message for message in not_looked.values())
    assert {finding["level"] for finding in told.of("dataset")} == {"fine"}


def test_an_aws_that_never_answers_is_given_up_within_its_time_out(deployment, ways):
    hangs = threading.Event()
    ways[0].rule = lambda _request, _forward: hangs.wait(60) and None
    started = time.monotonic()
    told = deployment.doctor()
    hangs.set()
    assert [(problem["hop"], problem["code"]) for problem in told.problems] == [("aws", "doctor.unreachable")]
    assert time.monotonic() - started < 20


def test_an_address_that_is_not_awss_is_no_missing_function(deployment, ways):
    ways[0].rule = lambda _request, _forward: Answer(404, {}, b"nothing here")
    told = deployment.doctor()
    assert [(problem["hop"], problem["code"]) for problem in told.problems] == [("aws", "doctor.unreachable")]


def test_without_a_region_it_is_said_which_one_was_asked(deployment):
    del deployment.environment["AWS_REGION"]
    for region in ({}, {"AWS_REGION": ""}):
        told = deployment.doctor(**region)
        assert "us-east-1" in told.of("aws")[0]["message"] and "no AWS_REGION" in told.of("aws")[0]["message"]


def test_half_a_key_is_told_as_such(deployment):
    del deployment.environment["AWS_SECRET_ACCESS_KEY"]
    told = deployment.doctor(AWS_EC2_METADATA_DISABLED="true")
    [problem] = told.problems
    assert "AWS_SECRET_ACCESS_KEY" in problem["message"] and "AWS_SECRET_ACCESS_KEY" in problem["remedy"]


def test_a_bucket_of_another_region_names_the_region(deployment, ways):
    def elsewhere(request, forward):
        if request.method == "GET" and request.path.startswith(f"/{deployment.bucket}"):
            body = b"<Error><Code>PermanentRedirect</Code><Message>Use the endpoint.</Message></Error>"
            return Answer(301, {"Content-Type": "application/xml", "x-amz-bucket-region": "eu-south-2"}, body)
        return active(request, forward)

    ways[0].rule = elsewhere
    told = deployment.doctor()
    assert {(problem["hop"], problem["code"]) for problem in told.problems} == {
        ("bucket", "doctor.refused"), ("notification", "doctor.refused"),
    }  # fmt: skip
    assert all("AWS_REGION=eu-south-2" in problem["remedy"] for problem in told.problems)


def test_a_bigquery_that_fails_is_nothing_to_mend(deployment, ways):
    ways[1].rule = refuse(503, "backendError", "GET", "/datasets/casino_a")
    [problem] = deployment.doctor().problems
    assert (problem["hop"], problem["code"]) == ("dataset", "doctor.unavailable")
    assert problem["remedy"].startswith("Nothing to mend here")


def test_a_credential_file_that_is_not_there_has_one_remedy(deployment):
    del deployment.environment["BIGQUERY_EMULATOR_HOST"]
    told = deployment.doctor(GOOGLE_APPLICATION_CREDENTIALS="/nowhere/key.json")
    [problem] = told.problems
    assert "/nowhere/key.json" in problem["message"] and "create-cred-config" not in problem["message"]
    assert "GOOGLE_APPLICATION_CREDENTIALS" in problem["remedy"]


def test_a_credential_file_is_fine_if_it_may_be_in_the_package(deployment):
    variables = deployment.variables(DMS2BQ_GOOGLE_PROVIDER="", GOOGLE_APPLICATION_CREDENTIALS="key.json")
    deployment.set_function(Environment={"Variables": variables})
    told = deployment.doctor()
    assert told.problems == []
    assert "key.json, if that is in its package" in told.of("function")[0]["message"]


def test_somebody_elses_queue_is_not_taken_for_ours(deployment):
    other = deployment.cloud.create_queue(f"other-{deployment.name}")
    deployment.notify(queue_arn=deployment.cloud.attribute(other, "QueueArn"))
    command = [PROGRAMS / "dms2bq", "doctor"]
    done = subprocess.run(command, env=deployment.environment, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    [notification] = [line for line in lines if "notification" in line]
    assert notification.startswith("-") and f"other-{deployment.name}" in notification and "--queue" in notification
    assert lines[-1].endswith("name the function with --function NAME.")
    assert done.returncode == WARNINGS
    [warning] = [line for line in lines if line.startswith("!")]
    assert "[doctor.nothing_named]" in warning


def test_a_function_that_takes_from_another_queue_is_found(deployment):
    other = deployment.cloud.create_queue(f"other-{deployment.name}")
    deployment.notify(queue_arn=deployment.cloud.attribute(other, "QueueArn"))
    told = deployment.doctor("--function", deployment.function, "--queue", other, "--no-write")
    assert "doctor.queue_unread" in [problem["code"] for problem in told.problems]
    assert told.exit_code == ERROR


def test_without_aws_credentials_google_is_looked_at_all_the_same(deployment):
    del deployment.environment["AWS_ACCESS_KEY_ID"], deployment.environment["AWS_SECRET_ACCESS_KEY"]
    told = deployment.doctor(AWS_EC2_METADATA_DISABLED="true")
    assert [(problem["hop"], problem["code"]) for problem in told.problems] == [("aws", "doctor.denied")]
    assert {finding["level"] for finding in told.of("dataset")} == {"fine"}
    assert {finding["hop"] for finding in told.findings if finding["level"] == "not_looked"} == {
        "bucket", "queue", "event_source", "function",
    }  # fmt: skip


def test_a_bucket_that_may_not_be_read_is_found(deployment, ways):
    def deny(request, forward):
        if request.method == "GET" and request.path.startswith(f"/{deployment.bucket}/dms/"):
            return Answer(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        return active(request, forward)

    ways[0].rule = deny
    told = deployment.doctor()
    assert [(problem["hop"], problem["code"]) for problem in told.problems] == [("bucket", "doctor.denied")]
    assert "s3:GetObject" in told.problems[0]["remedy"]


def test_clocks_that_disagree_are_found_for_each_side(deployment, ways):
    def an_hour_ago(forward):
        answer = forward()
        stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 3600))
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
        return Answer(answer.status, headers | {"Date": stamp}, answer.body)

    ways[0].rule = lambda request, forward: an_hour_ago(lambda: active(request, forward))
    ways[1].rule = lambda request, forward: an_hour_ago(forward)
    told = deployment.doctor()
    assert [problem["code"] for problem in told.problems] == ["doctor.clock_off"] * 2
    assert {problem["about"] for problem in told.problems} == {"AWS", "Google"}


def test_the_mappings_that_are_examined_are_those_that_the_function_reads(deployment):
    text = (deployment.folder / "mappings/landing.json").read_text()
    deployment.cloud.s3.put_object(Bucket=deployment.bucket, Key="mappings/landing.json", Body=text.encode())
    published = f"s3://{deployment.bucket}/mappings"
    deployment.set_function(Environment={"Variables": deployment.variables(DMS2BQ_MAPPINGS=published)})
    deployment.write_mapping(dataset="nowhere")
    told = deployment.doctor()
    assert told.exit_code == FINE, told.problems
    assert told.of("mappings")[0]["about"] == f"{published}/"


def test_a_queue_alone_is_examined_before_there_is_a_function(deployment):
    told = deployment.doctor("--queue", deployment.queue, "--no-write")
    assert told.exit_code == FINE, told.problems
    assert {finding["level"] for finding in told.of("queue")} == {"fine"}
    assert {finding["level"] for finding in told.of("function")} == {"not_looked"}
    assert "--no-write" in told.of("dataset")[0]["message"]


def test_a_person_reads_one_line_for_each_hop_and_the_remedy_below(deployment):
    deployment.redrive(3)
    command = [PROGRAMS / "dms2bq", "doctor", "--function", deployment.function]
    done = subprocess.run(command, env=deployment.environment, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    [at] = [at for at, line in enumerate(lines) if line.startswith("!")]
    assert "maxReceiveCount is 3" in lines[at] and lines[at].endswith("[doctor.max_receive_count]")
    assert lines[at + 1].strip().startswith("do: aws sqs set-queue-attributes")
    assert lines[-1] == f"0 errors, 1 warning, {sum(line.startswith('✓') for line in lines)} fine, 0 not looked at."
