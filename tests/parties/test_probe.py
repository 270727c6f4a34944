"""`dms2bq probe` against the embedded BigQuery and LocalStack: each must answer what it claims to copy.

What the code takes for granted about the real services (docs/verified.md), the embedded BigQuery was built to do. So every
experiment that it can answer must come out as assumed; where a stand-in is known to be otherwise, it stands here.
"""

import json
import os
import signal
import subprocess
import threading
import uuid

import pytest
from between import Answer, between
from conftest import AWS, PROGRAMS, BigQuery, Cloud

OTHERWISE = {
    15: "the embedded BigQuery refuses it (docs/embedded-bigquery.md), so that no list is lost unseen",
    60: "LocalStack moves messages as they are (test_journeys.py)",
    62: "LocalStack moves messages as they are",
    74: "LocalStack counts the twelve hours from the call",
}
NOT_HERE = {25: "the embedded BigQuery deletes no jobs"}

DATASET = "acme-dw.scratch"


@pytest.fixture
def warehouse(tmp_path):
    warehouse = BigQuery(tmp_path, ["scratch"])
    warehouse.start()
    try:
        yield warehouse
    finally:
        warehouse.stop()


class Probe:
    def __init__(self, bigquery_url: str, aws_url: str, folder):
        self.environment = AWS | {
            "AWS_ENDPOINT_URL": aws_url,
            "BIGQUERY_EMULATOR_HOST": bigquery_url,
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin",
        }

    def command(self, *arguments: str) -> list[str]:
        return [str(PROGRAMS / "dms2bq"), "probe", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=300
        )

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, *arguments: str) -> tuple[int, dict[int, dict]]:
        """Asks, and gives the exit code and the answers by number."""
        done = self.run("--dataset", DATASET, "--yes", "--format", "json", *arguments)
        assert not done.stderr, done.stderr
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, {answer["number"]: answer for answer in answers}


@pytest.fixture
def localstack() -> Cloud:
    return Cloud("localstack", os.environ["DMS2BQ_TEST_LOCALSTACK"])


@pytest.fixture
def probe(warehouse, localstack, tmp_path) -> Probe:
    return Probe(warehouse.url, localstack.url, tmp_path)


def numbers_listed(probe: Probe) -> list[int]:
    listed = probe.run("--list").stdout.split("For a person")[0]
    return [int(line.split()[0]) for line in listed.splitlines() if line.strip()]


def tables(warehouse: BigQuery) -> list:
    return warehouse.call("GET", "datasets/scratch/tables").get("tables", [])


def test_every_stand_in_answers_what_it_claims_to_copy_and_nothing_is_left(probe, warehouse, localstack):
    name = f"probe-{uuid.uuid4().hex[:10]}"
    localstack.s3.create_bucket(Bucket=name)
    code, answers = probe.ask("--bucket-prefix", f"s3://{name}/scratch", "--queue", name)
    expected = {
        number: "otherwise" if number in OTHERWISE else "not_here" if number in NOT_HERE else "as_assumed"
        for number in numbers_listed(probe)
    }
    assert {number: answer["answer"] for number, answer in answers.items()} == expected, answers
    assert code == 1
    assert tables(warehouse) == []
    assert localstack.s3.list_objects_v2(Bucket=name)["KeyCount"] == 0
    told = localstack.s3.get_bucket_notification_configuration(Bucket=name)
    assert set(told) <= {"ResponseMetadata"}
    assert localstack.sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", []) == []


def test_nothing_is_asked_before_a_person_has_seen_what_it_takes(warehouse, localstack, tmp_path):
    with between(warehouse.url) as google:
        done = Probe(google.url, localstack.url, tmp_path).run("--dataset", DATASET)
        assert google.seen == []
    assert done.returncode == 2
    assert "at most" in done.stdout and "load jobs" in done.stdout and "MiB" in done.stdout
    assert "left out: 60 moved-is-new (needs --queue)" in done.stdout
    assert "--yes" in done.stderr


def test_an_answer_otherwise_than_assumed_is_told_and_no_line_is_made_of_a_stand_in(warehouse, localstack, tmp_path):
    def forget_conflicts(request, forward):
        answer = forward()
        if answer.status == 409:
            return Answer.json(500, {"error": {"code": 500, "errors": [{"reason": "backendError"}], "message": "?"}})
        return answer

    with between(warehouse.url) as google:
        google.rule = forget_conflicts
        done = Probe(google.url, localstack.url, tmp_path).run("--dataset", DATASET, "--yes", "--only", "24,39")
    assert done.returncode == 1, done
    assert "OTHERWISE   after a failure the same id answers 500" in done.stdout
    assert "as assumed" in done.stdout
    assert "Open an issue" in done.stdout and "24 failed-id" in done.stdout
    assert "Nothing for docs/verified.md: a stand-in was asked" in done.stdout
    assert tables(warehouse) == []


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_what_was_made_is_taken_away_when_somebody_interrupts_and_the_rest_is_told_as_not_asked(probe, warehouse, sign):
    process = probe.start("--dataset", DATASET, "--yes", "--format", "json")
    first = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert [answer["answer"] for answer in first] == ["as_assumed"] * 3
    process.send_signal(sign)
    rest, said = process.communicate(timeout=60)
    answers = first + [json.loads(line) for line in rest.splitlines()]
    assert [answer["number"] for answer in answers] == numbers_listed(probe), "each has a line, asked or not"
    unasked = [answer["number"] for answer in answers if "stopped" in answer["evidence"]]
    assert len(unasked) > 20, "it did not stop"
    assert all(answer["answer"] == "not_asked" for answer in answers if answer["number"] in unasked)
    assert process.returncode == 1
    assert f"{len(unasked)} not asked: {', '.join(map(str, unasked))}" in said
    assert "nothing is left behind" in said.lower()
    assert tables(warehouse) == []


def test_a_second_interrupt_ends_it_at_once_and_says_what_may_be_left(warehouse, localstack, tmp_path):
    is_over = threading.Event()
    hangs = threading.Event()

    def hang(request, forward):
        if request.path.startswith("/upload"):
            hangs.set()
            is_over.wait(60)
            return None
        return forward()

    with between(warehouse.url) as google:
        google.rule = hang
        process = Probe(google.url, localstack.url, tmp_path).start("--dataset", DATASET, "--yes", "--format", "json")
        assert hangs.wait(30)
        process.send_signal(signal.SIGINT)
        told = process.stderr.readline()
        assert "again to stop at once" in told.lower(), told
        process.send_signal(signal.SIGINT)
        try:
            rest, said = process.communicate(timeout=5)
        finally:
            is_over.set()
            process.kill()
    assert process.returncode == 130
    assert f"tables {DATASET}.dms2bq_probe_" in said and "left behind" in said, said
    answers = [json.loads(line)["answer"] for line in rest.splitlines()]
    assert answers and set(answers) == {"not_asked"}


def test_an_upload_in_parts_that_fails_midway_is_ended(warehouse, localstack, tmp_path):
    name = f"probe-{uuid.uuid4().hex[:10]}"
    localstack.s3.create_bucket(Bucket=name)

    def refuse_the_second_part(request, forward):
        if "partNumber=2" in request.path:
            assert localstack.s3.list_multipart_uploads(Bucket=name)["Uploads"]
            return Answer(403, {}, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
        return forward()

    with between(localstack.url) as aws:
        aws.rule = refuse_the_second_part
        probe = Probe(warehouse.url, aws.url, tmp_path)
        code, answers = probe.ask("--bucket-prefix", f"s3://{name}/scratch", "--queue", name, "--only", "69")
    assert (code, answers[69]["answer"]) == (1, "failed"), answers
    assert answers[69]["evidence"] == "403 AccessDenied: no"
    assert "Uploads" not in localstack.s3.list_multipart_uploads(Bucket=name)


def test_notifications_that_somebody_adds_meanwhile_stay(warehouse, localstack, tmp_path):
    name = f"probe-{uuid.uuid4().hex[:10]}"
    localstack.s3.create_bucket(Bucket=name)
    other = localstack.attribute(localstack.create_queue(f"other-{name}"), "QueueArn")
    added = []

    def add_another(request, forward):
        answer = forward()
        if request.method == "PUT" and "notification" in request.path and not added:
            told = localstack.s3.get_bucket_notification_configuration(Bucket=name)
            also = {"Id": "another", "QueueArn": other, "Events": ["s3:ObjectRemoved:*"]}
            localstack.s3.put_bucket_notification_configuration(
                Bucket=name,
                NotificationConfiguration={
                    "QueueConfigurations": [*told["QueueConfigurations"], also],
                    "EventBridgeConfiguration": {},
                },
            )
            added.append(also)
        return answer

    with between(localstack.url) as aws:
        aws.rule = add_another
        probe = Probe(warehouse.url, aws.url, tmp_path)
        code, answers = probe.ask("--bucket-prefix", f"s3://{name}/scratch", "--queue", name, "--only", "65")
    assert (code, answers[65]["answer"]) == (0, "as_assumed"), answers
    kept = localstack.s3.get_bucket_notification_configuration(Bucket=name)
    assert [kept["Id"] for kept in kept["QueueConfigurations"]] == ["another"]
    assert "EventBridgeConfiguration" in kept


def test_objects_of_others_below_the_prefix_stay_whatever_they_are_called(probe, localstack):
    name = f"probe-{uuid.uuid4().hex[:10]}"
    localstack.s3.create_bucket(Bucket=name)
    theirs = {f"scratch/{key}" for key in ("copied-from", "copied-to", "if-match", "conditional-put", "listed-at-once")}
    for key in theirs:
        localstack.s3.put_object(Bucket=name, Key=key, Body=b"theirs")
    asked = ("--bucket-prefix", f"s3://{name}/scratch", "--queue", name, "--only", "65,70,75,76")
    code, _ = probe.ask(*asked)
    assert code == 0
    listed = localstack.s3.list_objects_v2(Bucket=name)["Contents"]
    assert {entry["Key"] for entry in listed} == theirs
    bodies = {localstack.s3.get_object(Bucket=name, Key=key)["Body"].read() for key in theirs}
    assert bodies == {b"theirs"}


def test_a_bucket_that_is_not_there_is_told_once_and_before_anything_is_made(probe, warehouse):
    done = probe.run("--dataset", DATASET, "--bucket-prefix", "s3://no-such-bk/scratch", "--yes")
    assert done.returncode == 2, done
    assert "there is no bucket no-such-bk" in done.stderr
    assert "Error {" not in done.stderr and "left behind" not in done.stderr
    assert tables(warehouse) == []


@pytest.mark.parametrize("suffix", ["", "-dead"])
def test_a_queue_that_is_there_already_is_told_at_the_start_and_left_alone(probe, localstack, suffix):
    name = f"probe-{uuid.uuid4().hex[:10]}"
    theirs = localstack.create_queue(f"{name}{suffix}")
    done = probe.run("--dataset", DATASET, "--queue", name, "--yes", "--format", "json")
    assert (done.returncode, done.stdout) == (2, ""), done
    assert f"there is a queue {name}{suffix} already" in done.stderr
    assert localstack.sqs.list_queues(QueueNamePrefix=name)["QueueUrls"] == [theirs]


def test_a_queue_whose_making_got_no_answer_is_taken_away_as_well(warehouse, localstack, tmp_path):
    name = f"probe-{uuid.uuid4().hex[:10]}"

    def lose_the_answer(request, forward):
        answer = forward()
        is_it = request.headers.get("x-amz-target", "").endswith("CreateQueue") and b"-dead" not in request.body
        return None if is_it else answer

    with between(localstack.url) as aws:
        aws.rule = lose_the_answer
        code, answers = Probe(warehouse.url, aws.url, tmp_path).ask("--queue", name, "--only", "72")
        made = [request for request in aws.seen if request.headers.get("x-amz-target", "").endswith("CreateQueue")]
    assert (code, answers[72]["answer"]) == (1, "failed"), answers
    assert len(made) > 1, "nothing was made, so nothing is shown"
    assert localstack.sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", []) == []


@pytest.mark.parametrize("begin", [(), ("--yes",), ("--yes", "--format", "json")])
def test_an_experiment_that_was_named_and_lacks_something_is_not_passed_over(probe, begin):
    done = probe.run("--dataset", DATASET, "--only", "20,43,64", *begin)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "43 clocks needs --queue" in done.stderr
    assert "64 spelling-of-keys needs --bucket-prefix and --queue" in done.stderr


def test_the_list_and_the_plan_can_be_had_as_json(probe):
    listed = [json.loads(line) for line in probe.run("--list", "--format", "json").stdout.splitlines()]
    experiments = [line for line in listed if "name" in line]
    assert [line["number"] for line in experiments] == numbers_listed(probe)
    clocks = next(line for line in experiments if line["number"] == 43)
    assert clocks["needs"] == ["--queue"] and clocks["load_jobs"] == 1
    assert {"number": 71, "for_a_person": "it needs a function that sets visibility and fails"} in listed
    done = probe.run("--dataset", DATASET, "--format", "json")
    assert done.returncode == 2 and "--yes" in done.stderr
    plan = json.loads(done.stdout)
    assert plan["dataset"] == DATASET and plan["load_jobs"] > 50 and plan["size_bytes"] > 1_000_000
    assert {"number": 43, "name": "clocks", "needs": ["--queue"]} in plan["left_out"]
    assert plan["experiments"] + [left["number"] for left in plan["left_out"]] == numbers_listed_by_need(experiments)


def numbers_listed_by_need(experiments: list[dict]) -> list[int]:
    """Those that need nothing but the dataset, and then the others."""
    return [line["number"] for line in sorted(experiments, key=lambda line: line["needs"] != [])]


def test_one_is_one_and_small_sums_are_told_as_they_are(probe):
    done = probe.run("--dataset", "acme-dw:scratch", "--only", "37")
    assert done.stdout.startswith("1 experiment in acme-dw.scratch: no load jobs, no bytes and 1 minute at most."), done
    done = probe.run("--dataset", DATASET, "--only", "3")
    assert done.stdout.startswith("1 experiment in acme-dw.scratch: 1 load job, 4 KiB and 1 minute at most."), done


def test_a_bucket_that_tells_somebody_else_keeps_its_notifications(probe, localstack):
    name = f"probe-{uuid.uuid4().hex[:10]}"
    other = localstack.create_queue(f"other-{name}")
    localstack.create_bucket(name, other, versioned=False)
    code, answers = probe.ask("--bucket-prefix", f"s3://{name}/scratch", "--queue", name, "--only", "64")
    assert (code, answers[64]["answer"]) == (0, "not_here"), answers
    [kept] = localstack.s3.get_bucket_notification_configuration(Bucket=name)["QueueConfigurations"]
    assert kept["QueueArn"] == localstack.attribute(other, "QueueArn")


def test_a_dataset_that_is_not_there_is_told_with_how_to_make_it(probe):
    done = probe.run("--dataset", "acme-dw.nowhere", "--yes")
    assert done.returncode == 2
    assert "bq --location=LOCATION mk --default_table_expiration 3600 --dataset acme-dw:nowhere" in done.stderr


def test_what_names_no_dataset_or_prefix_is_told_before_any_plan(probe):
    for arguments, told in (
        (["--dataset", "scratch"], "my-project.dms2bq_probe"),
        (["--dataset", "acme-dw.scr-atch"], "`scr-atch` is not a valid dataset name: `-` is not allowed"),
        (["--dataset", DATASET, "--bucket-prefix", "my-bucket/probe"], "write s3://bucket/prefix"),
    ):
        done = probe.run(*arguments)
        assert done.returncode == 2 and not done.stdout, done
        assert told in done.stderr


def test_an_experiment_that_needs_a_person_is_not_faked(probe):
    done = probe.run("--dataset", DATASET, "--yes", "--only", "71")
    assert done.returncode == 2
    assert "row 71 is for a person" in done.stderr
