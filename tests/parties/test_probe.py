"""`dms2bq probe` against the embedded BigQuery and LocalStack: each must answer what it claims to copy.

What the code takes for granted about the real services (docs/verified.md), the embedded BigQuery was built to do. So every
experiment that it can answer must come out as assumed; where a stand-in is known to be otherwise, it stands here.
"""

import json
import os
import signal
import subprocess
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
def test_what_was_made_is_taken_away_when_somebody_interrupts(probe, warehouse, sign):
    process = subprocess.Popen(
        probe.command("--dataset", DATASET, "--yes", "--format", "json"),
        env=probe.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(3):
        assert json.loads(process.stdout.readline())["answer"] == "as_assumed"
    process.send_signal(sign)
    rest, said = process.communicate(timeout=60)
    assert len(rest.splitlines()) < 5, "it did not stop"
    assert "taken away" in said
    assert tables(warehouse) == []


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
    assert "bq mk --default_table_expiration 3600 --dataset acme-dw:nowhere" in done.stderr


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
