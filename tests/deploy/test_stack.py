"""What template.yaml comes to when somebody else's CloudFormation (moto's) makes a stack of it, and what its commands do to a bucket."""

import io
import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import boto3
import cloudformation
import pytest
import systems
import yaml
from moto import mock_aws

REGION = "eu-west-1"


@pytest.fixture
def aws(monkeypatch):
    for name, value in systems.OFFLINE.items():
        monkeypatch.setenv(name, value)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket="artefacts", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="artefacts", Key="bootstrap.zip", Body=_zip())
        yield lambda service: boto3.client(service, region_name=REGION)


def _zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("bootstrap", "")
    return held.getvalue()


def prepared(variant: str) -> tuple[str, list[dict]]:
    """The template and its parameters, as moto takes them."""
    template = systems.transformed(systems.sam_template())
    given = cloudformation.parameter_values(template, systems.OWN | systems.VARIANTS[variant])
    for mapping in ("Timing", "Minutes"):
        # moto looks a parameter of type Number up as a number, and so does not find it among keys that are texts.
        template["Mappings"][mapping] = {int(key): row for key, row in template["Mappings"][mapping].items()}
    parameters = [{"ParameterKey": name, "ParameterValue": as_text(value)} for name, value in given.items()]
    return yaml.safe_dump(template), parameters


def create(aws, variant: str) -> dict[str, str]:
    """Makes the stack, and gives its outputs."""
    template, parameters = prepared(variant)
    aws("cloudformation").create_stack(
        StackName="dms2bq", TemplateBody=template, Parameters=parameters, Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    [stack] = aws("cloudformation").describe_stacks(StackName="dms2bq")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def as_text(value) -> str:
    return ",".join(value) if isinstance(value, list) else value


def attributes(aws, url: str) -> dict:
    return aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


@pytest.mark.parametrize("variant", ["as it comes", "a bucket of its own", "by EventBridge", "two lanes", "in a VPC, with keys"])
def test_the_stack_comes_up_with_its_queue_function_and_dead_letters(aws, variant):
    outputs = create(aws, variant)
    queue, dead = attributes(aws, outputs["QueueUrl"]), attributes(aws, outputs["DeadLetterQueueUrl"])
    assert json.loads(queue["RedrivePolicy"]) == {"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": 50}
    assert (queue["VisibilityTimeout"], queue["MessageRetentionPeriod"]) == ("723", "345600")
    assert dead["MessageRetentionPeriod"] == "1209600"
    function = aws("lambda").get_function_configuration(FunctionName=outputs["FunctionName"])
    assert (function["Runtime"], function["Handler"], function["Timeout"]) == ("provided.al2023", "bootstrap", 120)
    assert function["Environment"]["Variables"]["DMS2BQ_PARTIAL_BATCH_RESPONSE"] == "on"
    sources = aws("lambda").list_event_source_mappings(FunctionName=outputs["FunctionName"])["EventSourceMappings"]
    [source] = [each for each in sources if each["EventSourceArn"] == queue["QueueArn"]]
    assert (source["BatchSize"], source["FunctionResponseTypes"]) == (10, ["ReportBatchItemFailures"])


def test_with_two_lanes_there_are_two_of_each(aws):
    outputs = create(aws, "two lanes")
    full = attributes(aws, outputs["FullLoadQueueUrl"])
    dead = attributes(aws, outputs["FullLoadDeadLetterQueueUrl"])
    assert json.loads(full["RedrivePolicy"])["deadLetterTargetArn"] == dead["QueueArn"]
    assert full["VisibilityTimeout"] == "5403"
    assert aws("lambda").get_function_configuration(FunctionName="dms2bq-full-load")["Timeout"] == 900
    assert len(aws("events").list_rules(NamePrefix="dms2bq")["Rules"]) == 2


def test_s3_takes_what_a_bucket_of_the_stacks_own_is_to_tell(bucket):
    # By its own API: moto's CloudFormation makes buckets that tell nobody.
    stack = systems.sam(systems.VARIANTS["a bucket of its own"])
    [configuration] = stack.resources["OwnLandingBucket"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    rules = configuration["Filter"]["S3Key"]["Rules"]
    told = {"QueueArn": configuration["Queue"], "Events": [configuration["Event"]], "Filter": {"Key": {"FilterRules": rules}}}
    bucket.tell({"QueueConfigurations": [told]})
    [found] = bucket.told()["QueueConfigurations"]
    assert (found["QueueArn"], found["Events"]) == (told["QueueArn"], told["Events"])


def test_cloudwatch_takes_every_alarm_and_the_dashboard(aws):
    # By its own API: moto's CloudFormation knows no alarms.
    stack = systems.sam(systems.VARIANTS["two lanes"])
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    for name, alarm in alarms.items():
        aws("cloudwatch").put_metric_alarm(AlarmName=name, **alarm)
    assert len(aws("cloudwatch").describe_alarms()["MetricAlarms"]) == len(alarms) == 16
    [dashboard] = stack.of_type("AWS::CloudWatch::Dashboard").values()
    aws("cloudwatch").put_dashboard(**dashboard)


# ---- the command for a bucket that is there ----

OTHERS = {
    "QueueConfigurations": [
        {
            "Id": "thumbnails",
            "QueueArn": "arn:aws:sqs:eu-west-1:123456789012:thumbnails",
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "images/"}]}},
        }
    ],
    "TopicConfigurations": [
        {"Id": "removals", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:removals", "Events": ["s3:ObjectRemoved:*"]}
    ],
}


@pytest.fixture
def bucket():
    """A bucket of LocalStack's S3, with what its notifications go to."""
    url = os.environ["DMS2BQ_TEST_LOCALSTACK"]
    own = {"endpoint_url": url, "region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    s3 = boto3.client("s3", **own)
    name = f"acme-landing-{os.getpid()}-{os.urandom(3).hex()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield Bucket(name, s3, url)


class Bucket:
    def __init__(self, name: str, s3, url: str):
        self.name, self.s3, self.url = name, s3, url

    def tell(self, configuration: dict) -> None:
        self.s3.put_bucket_notification_configuration(
            Bucket=self.name, NotificationConfiguration=configuration, SkipDestinationValidation=True
        )

    def told(self) -> dict:
        found = self.s3.get_bucket_notification_configuration(Bucket=self.name)
        found.pop("ResponseMetadata")
        return found

    def run_command(self, folder: Path, output: str = "NotificationCommand", **parameters: str) -> None:
        """Runs what the stack's output says, to the letter, in a shell with the AWS CLI."""
        command = systems.sam(parameters, LandingBucket=self.name).outputs[output]
        environment = systems.environment(AWS_ENDPOINT_URL=self.url, AWS_CONFIG_FILE=str(folder / "none"))
        # The queue is the stack's and not LocalStack's, so it is not asked whether it takes messages.
        command += " --skip-destination-validation"
        done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


OURS = {"Id": "dms2bq", "QueueArn": "arn:aws:sqs:eu-west-1:123456789012:dms2bq", "Events": ["s3:ObjectCreated:*"]}


def in_s3s_words(configuration: dict) -> dict:
    return {key: value for key, value in configuration.items() if key != "Filter" or value}


def test_the_command_tells_a_bucket_that_told_nobody(bucket, tmp_path):
    bucket.run_command(tmp_path)
    assert [in_s3s_words(each) for each in bucket.told()["QueueConfigurations"]] == [OURS]


def test_the_command_leaves_what_others_have_set_and_may_be_run_again(bucket, tmp_path):
    bucket.tell(OTHERS)
    before = bucket.told()
    for _ in range(2):
        bucket.run_command(tmp_path, NotificationPrefix="dms/")
        told = bucket.told()
        assert told["TopicConfigurations"] == before["TopicConfigurations"]
        [others, ours] = told["QueueConfigurations"]
        assert others == before["QueueConfigurations"][0]
        [rule] = ours.pop("Filter")["Key"]["FilterRules"]
        assert (ours, rule["Name"].lower(), rule["Value"]) == (OURS, "prefix", "dms/")


def test_the_command_for_eventbridge_leaves_the_rest_as_it_is(bucket, tmp_path):
    bucket.tell(OTHERS)
    before = bucket.told()
    bucket.run_command(tmp_path, Notification="eventbridge")
    assert bucket.told() == before | {"EventBridgeConfiguration": {}}


def ways(bucket) -> set[str]:
    """By which ways the bucket tells of a file."""
    told = bucket.told()
    own = [each for each in told.get("QueueConfigurations", []) if each["Id"] == "dms2bq"]
    return ({"s3"} if own else set()) | ({"eventbridge"} if "EventBridgeConfiguration" in told else set())


def test_on_the_way_to_eventbridge_the_bucket_always_tells_by_a_way_that_works(bucket, tmp_path):
    """docs/deploying.md, Changing how files are told. S3 begins to tell EventBridge minutes after it was told to."""
    bucket.tell(OTHERS)
    bucket.run_command(tmp_path)
    bucket.run_command(tmp_path, Notification="both")
    assert ways(bucket) == {"s3", "eventbridge"}
    # With the stack at `both`, and then at `eventbridge`.
    bucket.run_command(tmp_path, Notification="eventbridge")
    assert ways(bucket) == {"s3", "eventbridge"}
    bucket.run_command(tmp_path, "NotificationOffCommand", Notification="eventbridge")
    assert ways(bucket) == {"eventbridge"}
    told = bucket.told()
    assert [each["Id"] for each in told["QueueConfigurations"]] == ["thumbnails"] and told["TopicConfigurations"]


def test_on_the_way_back_to_s3_the_bucket_tells_the_queue_before_the_rule_goes(bucket, tmp_path):
    bucket.run_command(tmp_path, Notification="eventbridge")
    bucket.run_command(tmp_path, Notification="both")
    assert ways(bucket) == {"s3", "eventbridge"}
    rules = {way: systems.sam({"Notification": way}).of_type("AWS::Events::Rule").keys() for way in ("eventbridge", "both", "s3")}
    assert rules == {"eventbridge": {"ObjectsRule"}, "both": {"ObjectsRule"}, "s3": set()}


def test_a_stack_that_is_torn_down_leaves_the_bucket_as_it_was(bucket, tmp_path):
    bucket.tell(OTHERS)
    before = bucket.told()
    bucket.run_command(tmp_path)
    bucket.run_command(tmp_path, "NotificationOffCommand")
    assert bucket.told() == before


# ---- lanes ----

LOADS = [
    "dms/casino-a/game/player/LOAD00000001.parquet",
    "dms/casino-a/game/player/LOAD0000000A.parquet",
    "dms/casino-a/game/player/SEGMENT1_LOAD00000001.parquet",
    "dms/casino-a/game/player/2024/LOAD00000001.parquet",
    "game/player/LOAD00000001.csv.gz",
]
CHANGES = [
    "dms/casino-a/game/player/2022/12/01/20221201-093015123.parquet",
    "dms/casino-a/game/player/20221201-093015123.parquet",
    "dms/casino-a/game/payload/20221201-093015123.parquet",
    "dms/casino-a/CDC_TXN-20221201093015123.csv",
    "something/else",
]


def event(key: str) -> str:
    detail = {"bucket": {"name": "acme-landing"}, "object": {"key": key, "size": 1}, "reason": "PutObject"}
    return json.dumps(
        {
            "id": "1", "account": "123456789012", "source": "aws.s3", "time": "2022-12-01T09:30:15Z", "region": REGION,
            "resources": ["arn:aws:s3:::acme-landing"], "detail-type": "Object Created", "detail": detail,
        }
    )  # fmt: skip


@pytest.mark.parametrize("key", LOADS + CHANGES)
def test_every_object_is_told_to_exactly_one_lane(key):
    rules = systems.sam(systems.VARIANTS["two lanes"]).of_type("AWS::Events::Rule")
    told = [name for name in sorted(rules) if matches(rules[name]["EventPattern"], json.loads(event(key)))]
    assert told == (["FullLoadsRule"] if key in LOADS else ["ChangesRule"])


def matches(pattern, given) -> bool:
    """EventBridge's patterns, as far as ours go, as its user guide describes them."""
    if isinstance(pattern, dict):
        return all(key in given and matches(inner, given[key]) for key, inner in pattern.items())
    return any(_matches_one(each, given) for each in pattern)


def _matches_one(each, value: str) -> bool:
    if isinstance(each, str):
        return each == value
    [(operator, operand)] = each.items()
    match operator:
        case "prefix":
            return value.startswith(operand)
        case "wildcard":
            return _is_like(operand, value)
        case "anything-but":
            return not any(_is_like(wildcard, value) for wildcard in operand["wildcard"])
    raise AssertionError(f"{operator} is not one of ours")


def _is_like(wildcard: str, value: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, wildcard.split("*"))), value) is not None


