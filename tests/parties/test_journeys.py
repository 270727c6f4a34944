"""Messages of every disposition: from the queue to `bootstrap`, to the dead-letter queue, and by a move task home.

LocalStack keeps the queues and their redrive policy, AWS's emulator of the Lambda runtime hands the messages to the
real `bootstrap`, and this plays the event source mapping: it receives, it invokes, and deletes what the reply does not
name. What `bootstrap` says to SQS and to BigQuery goes through a way in between, which reads along and can spoil it.

LocalStack departs from SQS in one thing that matters here. A message that its task moves keeps the time at which it was
sent, its receive count and the name of the dead-letter queue's source; SQS makes it a new message. So "somebody redrove
it after its job failed for good" is shown by sending the body anew, and docs/verified.md says what SQS must show.
"""

import hashlib
import json
import os
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable

import pytest
from between import Answer, Request, between, pass_on
from conftest import SAMPLES, BigQuery, Cloud

# Twelve rows, and eight of another file of the same table.
TWELVE = (SAMPLES / "acme-landing/dms/casino-a/game/player/LOAD00000001.parquet").read_bytes()
EIGHT = (SAMPLES / "acme-landing/dms/casino-a/game/player/2022/12/01/20221201-093015123.parquet").read_bytes()

# What the queue does with a message of which nobody says anything: longer than any test.
QUEUE_VISIBILITY_SECS = 400
# LocalStack looks once a second whose time has come, and the machine may be slow.
SLACK_SECS = 4.0


@pytest.fixture
def localstack():
    return Cloud("localstack", os.environ["DMS2BQ_TEST_LOCALSTACK"])


@pytest.fixture
def warehouse(tmp_path):
    """The embedded BigQuery, without the dataset `casino_b`."""
    warehouse = BigQuery(tmp_path, ["casino_a"])
    warehouse.start()
    try:
        yield warehouse
    finally:
        warehouse.stop()


@pytest.fixture
def journey(localstack, warehouse, function, tmp_path):
    with between(localstack.url) as to_sqs, between(warehouse.url) as to_bigquery:
        yield Journey(localstack, warehouse, function, tmp_path, to_sqs, to_bigquery)


class Journey:
    """A bucket, its queue with a dead-letter queue, and a function, all of this test's own."""

    def __init__(self, cloud, warehouse, function, folder, to_sqs, to_bigquery):
        self.cloud, self.warehouse, self.start_function = cloud, warehouse, function
        self.to_sqs, self.to_bigquery, self.bigquery_url = to_sqs, to_bigquery, to_bigquery.url
        name = uuid.uuid4().hex[:12]
        self.bucket, self.elsewhere = f"landing-{name}", f"elsewhere-{name}"
        self.dead_letters = cloud.create_queue(f"dead-{name}")
        self.queue = cloud.create_queue(f"queue-{name}", VisibilityTimeout=str(QUEUE_VISIBILITY_SECS))
        cloud.create_bucket(self.bucket, self.queue, versioned=False)
        cloud.s3.create_bucket(Bucket=self.elsewhere)
        self.mappings = folder / "mappings"
        self.mappings.mkdir()
        self.mapping = {
            "source": {"bucket": self.bucket, "bucket_folder": "dms"},
            "destination": {"project": "acme-dw", "location": "asia-northeast3", "dataset": "casino_a"},
            "tables": [{"schema": "game", "table": table} for table in ["player", "bet", "quota", "slow"]]
            + [
                {"schema": "game", "table": "wallet", "partition": None},
                {"schema": "game", "table": "account", "destination": {"dataset": "casino_b"}},
            ],
        }
        self.function = None
        # Every message as it first came: what S3 sent.
        self.bodies: dict[str, str] = {}
        self.handles: dict[str, str] = {}
        # S3's own test event, so that it is not in anybody's way.
        [test_event] = cloud.receive_all(self.queue)
        cloud.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=test_event["receiptHandle"])

    def deploy(self, **settings) -> None:
        """Starts the function with the mapping as it is now."""
        (self.mappings / "landing.json").write_text(json.dumps(self.mapping))
        environment = self.cloud.environment() | {
            "AWS_ENDPOINT_URL_SQS": self.to_sqs.url,
            "BIGQUERY_EMULATOR_HOST": self.bigquery_url,
            "DMS2BQ_MAPPINGS": str(self.mappings),
            "DMS2BQ_PARTIAL_BATCH_RESPONSE": "on",
        }
        self.function = self.start_function(environment, **settings)

    def allow_receives(self, most: int) -> None:
        policy = {"deadLetterTargetArn": self.cloud.attribute(self.dead_letters, "QueueArn"), "maxReceiveCount": most}
        attributes = {"RedrivePolicy": json.dumps(policy)}
        self.cloud.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes=attributes)

    def put(self, key: str, content: bytes = TWELVE) -> str:
        answer = self.cloud.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        return answer["ETag"].strip('"')

    def send(self, body: str) -> str:
        return self.cloud.sqs.send_message(QueueUrl=self.queue, MessageBody=body)["MessageId"]

    # What the queue holds.

    def counts(self, queue: str) -> tuple[int, int]:
        """Messages that are visible, and messages that are away."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.cloud.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])

    def peek(self, queue: str) -> dict[str, dict]:
        """All messages by their id, without receiving them: an extra of LocalStack's."""
        query = urllib.parse.urlencode({"QueueUrl": queue, "ShowInvisible": "true"})
        request = urllib.request.Request(f"{self.cloud.url}/_aws/sqs/messages?{query}")
        request.add_header("Accept", "application/json")
        with urllib.request.urlopen(request) as answer:
            result = json.load(answer)["ReceiveMessageResponse"]["ReceiveMessageResult"]
        messages = (result or {}).get("Message", [])
        messages = messages if isinstance(messages, list) else [messages]
        return {message["MessageId"]: message for message in messages}

    def visible(self) -> set[str]:
        def is_visible(message: dict) -> bool:
            return any(a == {"Name": "IsVisible", "Value": "true"} for a in message["Attribute"])

        return {message_id for message_id, message in self.peek(self.queue).items() if is_visible(message)}

    def dead(self) -> set[str]:
        return set(self.peek(self.dead_letters))

    def dead_bodies(self) -> dict[str, str]:
        """The bodies of the dead, by message id. Received, since a peek takes white space off their ends."""
        count = len(self.dead())
        bodies = {}
        while len(bodies) < count:
            received = self.cloud.sqs.receive_message(
                QueueUrl=self.dead_letters, MaxNumberOfMessages=10, VisibilityTimeout=1
            )
            bodies |= {message["MessageId"]: message["Body"] for message in received["Messages"]}
        # A move task passes over what is away.
        until(lambda: self.counts(self.dead_letters) == (count, 0), 1 + SLACK_SECS, lambda: self.situation([]))
        return bodies

    # What moves messages.

    def poll(self) -> list[dict]:
        """What the event source mapping does with what is visible. Gives what the function logged."""
        messages = self.cloud.receive_all(self.queue, wait_secs=0)
        if not messages:
            return []
        for message in messages:
            self.bodies.setdefault(message["messageId"], message["body"])
            self.handles[message["messageId"]] = message["receiptHandle"]
        logged = len(self.function.outcomes())
        reply = self.function.invoke(messages)
        failed = {failure["itemIdentifier"] for failure in reply["batchItemFailures"]}
        for message in messages:
            if message["messageId"] not in failed:
                self.cloud.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["receiptHandle"])
        lines = self.function.outcomes()[logged:]
        assert {line["message_id"] for line in lines if line["outcome"] == "returned"} == failed
        return lines

    def poll_until(self, done: Callable[[], bool], within_secs: float) -> list[dict]:
        lines = []

        def is_done() -> bool:
            lines.extend(self.poll())
            return done()

        until(is_done, within_secs, lambda: self.situation(lines))
        return lines

    def situation(self, lines: list[dict]) -> str:
        shown = [{name: line.get(name) for name in ["key", "outcome", "code", "reason"]} for line in lines[-20:]]
        return f"queue {self.counts(self.queue)}, dead {self.counts(self.dead_letters)}, last lines {shown}"

    def await_news(self, messages: int) -> None:
        until(lambda: self.counts(self.queue)[0] == messages, 10, lambda: self.situation([]))

    def is_empty(self) -> bool:
        return self.counts(self.queue) == (0, 0)

    def redrive(self) -> None:
        """Moves all dead messages back to where they came from."""
        source = self.cloud.attribute(self.dead_letters, "QueueArn")
        self.cloud.sqs.start_message_move_task(SourceArn=source)

        def is_moved() -> bool:
            [task] = self.cloud.sqs.list_message_move_tasks(SourceArn=source)["Results"]
            assert task["Status"] in ["RUNNING", "COMPLETED"], task
            return task["Status"] == "COMPLETED"

        until(is_moved, 10, lambda: "the move task goes on and on")

    def asked(self) -> dict[str, int]:
        """The visibility that the function asked for last, of each message."""
        by_handle = {handle: message_id for message_id, handle in self.handles.items()}
        asked = {}
        for request in self.to_sqs.seen:
            operation = request.headers.get("x-amz-target") or request.headers.get("X-Amz-Target", "")
            assert operation == "AmazonSQS.ChangeMessageVisibilityBatch", f"{operation} is not bootstrap's to ask"
            for entry in json.loads(request.body)["Entries"]:
                if entry["ReceiptHandle"] in by_handle:
                    asked[by_handle[entry["ReceiptHandle"]]] = entry["VisibilityTimeout"]
        return asked


def until(done: Callable[[], bool], within_secs: float, situation: Callable[[], str]) -> None:
    deadline = time.monotonic() + within_secs
    while not done():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_secs} s: {situation()}")
        time.sleep(0.2)


def key(table: str, number: int = 1, suffix: str = "parquet") -> str:
    return f"dms/game/{table}/LOAD{number:08X}.{suffix}"


def by_key(lines: list[dict], field: str) -> dict[str | None, str]:
    return {line.get("key"): line.get(field) for line in lines}


# An object whose job id somebody used for other rows.
MISMATCH = key("player", 3)
POISON = {
    MISMATCH: "job.row_mismatch",
    key("bet"): "object.copied",
    key("player", 1): "object.truncated",
    key("player", 2): "object.missing",
    key("bet", 2, "csv"): "key.not_parquet",
    key("forgotten"): "route.unmapped",
    key("wallet"): "job.rejected",
    None: "event.not_json",
}


def land_poison(journey: Journey) -> None:
    # A person made this table, with a number where the files have a text.
    columns = [{"name": "id", "type": "INTEGER"}, {"name": "nickname", "type": "INTEGER"}]
    made = {"tableReference": {"projectId": "acme-dw", "datasetId": "casino_a", "tableId": "wallet"}}
    journey.warehouse.call("POST", "datasets/casino_a/tables", made | {"schema": {"fields": columns}})
    journey.put(key("wallet"))
    load_by_hand(journey, MISMATCH, journey.put(MISMATCH), EIGHT, claimed_rows=12)
    journey.cloud.s3.put_object(Bucket=journey.elsewhere, Key="a.parquet", Body=TWELVE)
    source = {"Bucket": journey.elsewhere, "Key": "a.parquet"}
    journey.cloud.s3.copy_object(Bucket=journey.bucket, Key=key("bet"), CopySource=source)
    journey.put(key("player", 1), b"PAR1 is how it begins, and no more")
    journey.put(key("player", 2))
    journey.cloud.s3.delete_object(Bucket=journey.bucket, Key=key("player", 2))
    journey.put(key("bet", 2, "csv"), b"1,a\n")
    journey.put(key("forgotten"))
    journey.send('{ "Records": [ no JSON ')
    journey.await_news(len(POISON))


def mend(journey: Journey) -> None:
    """What a person can do about the poison, and a deployment."""
    journey.mapping["source"]["copies"] = True
    journey.mapping["tables"].append({"schema": "game", "table": "forgotten"})
    journey.warehouse.call("DELETE", "datasets/casino_a/tables/wallet")
    journey.put(key("player", 1))
    journey.put(key("player", 2))
    journey.deploy()


def test_what_never_loads_is_dead_at_once_as_s3_sent_it_and_loads_once_its_cause_is_mended(journey):
    journey.allow_receives(2)
    land_poison(journey)
    journey.deploy()
    lines = journey.poll()
    replied = time.monotonic()
    assert by_key(lines, "code") == POISON
    assert by_key(lines, "disposition") == dict.fromkeys(POISON, "never")
    assert journey.asked() == dict.fromkeys(journey.bodies, 2)
    assert journey.visible() == set() or time.monotonic() - replied > 1.5, "they are away for two seconds"
    until(lambda: journey.visible() == set(journey.bodies), 2 + SLACK_SECS, lambda: journey.situation(lines))
    journey.poll_until(lambda: len(journey.dead()) == len(POISON), 12)
    assert journey.is_empty() and journey.dead_bodies() == journey.bodies, "byte for byte"

    mend(journey)
    journey.redrive()
    journey.await_news(len(POISON) + 2)
    ends = sorted((line.get("key") or "", line["code"] or line["outcome"]) for line in journey.poll())
    assert ends == [
        ("", "event.not_json"),
        (key("bet"), "loaded"),
        (key("bet", 2, "csv"), "key.not_parquet"),
        (key("forgotten"), "loaded"),
        # The object was put right, so that the old message is about bytes that are no more; the new one is theirs.
        (key("player", 1), "loaded"),
        (key("player", 1), "object.superseded"),
        # The same bytes again are the same object, so one of the two messages finds the other's job.
        (key("player", 2), "job.adopted"),
        (key("player", 2), "loaded"),
        (MISMATCH, "job.row_mismatch"),
        # LocalStack's move has not made it a new message, so nobody has redriven it since its job failed.
        (key("wallet"), "job.rejected"),
    ]
    # Sent anew, it is.
    [rejected] = [body for body in journey.bodies.values() if key("wallet") in body]
    journey.send(rejected)
    lines = journey.poll_until(lambda: len(journey.dead()) == 3 and journey.is_empty(), 15)
    of_wallet = [line for line in lines if line.get("key") == key("wallet")]
    assert [line["code"] for line in of_wallet] == [None, "job.adopted"]
    assert all(line["attempt"] == 1 and line["job_id"].endswith("_1") for line in of_wallet)
    # What is left is a person's to look at and to delete.
    left = sorted(journey.dead_bodies().values())
    assert left == sorted(b for b in journey.bodies.values() if MISMATCH in b or ".csv" in b or "no JSON" in b)
    assert rows(journey) == {"bet": 12, "forgotten": 12, "player": 8 + 12 + 12, "wallet": 12}


def load_by_hand(journey: Journey, object_key: str, etag: str, content: bytes, claimed_rows: int) -> None:
    """Loads bytes under the job id of an object, as nobody should."""
    named = "\0".join([journey.bucket, object_key, etag, "acme-dw.casino_a.player"])
    identity = hashlib.sha256(named.encode()).hexdigest()
    stem = object_key.rsplit("/", 1)[1].removesuffix(".parquet")
    table = {"projectId": "acme-dw", "datasetId": "casino_a", "tableId": "player"}
    job = {
        "jobReference": {
            "projectId": "acme-dw",
            "location": "asia-northeast3",
            "jobId": f"{stem}_game_player_{identity[:16]}_0",
        },
        "configuration": {
            "labels": {"object": identity[:32], "rows": str(claimed_rows)},
            "load": {
                "destinationTable": table,
                "sourceFormat": "PARQUET",
                "writeDisposition": "WRITE_APPEND",
                "decimalTargetTypes": ["NUMERIC", "BIGNUMERIC", "STRING"],
            },
        },
    }
    parts = [("application/json", json.dumps(job).encode()), ("application/octet-stream", content)]
    body = b"".join(b"--cut\r\nContent-Type: %s\r\n\r\n%s\r\n" % (kind.encode(), part) for kind, part in parts)
    url = f"{journey.warehouse.url}/upload/bigquery/v2/projects/acme-dw/jobs?uploadType=multipart"
    request = urllib.request.Request(url, body + b"--cut--\r\n")
    request.add_header("Content-Type", "multipart/related; boundary=cut")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200, answer.read()
    until(lambda: journey.warehouse.rows("casino_a.player") == 8, 10, lambda: "the job by hand does not end")


def rows(journey: Journey) -> dict[str, int]:
    """The rows of every table."""
    found = {}
    for listed in journey.warehouse.call("GET", "datasets")["datasets"]:
        dataset = listed["datasetReference"]["datasetId"]
        for table in journey.warehouse.call("GET", f"datasets/{dataset}/tables").get("tables", []):
            name = table["tableReference"]["tableId"]
            found[name] = journey.warehouse.rows(f"{dataset}.{name}")
    return found


# Of each table, what is wrong with BigQuery, and how long its message is to stay away (the waits of a first
# receive, less a fifth at most).
WAITS = {
    "player": ("may_pass", 8, 10),
    "account": ("nothing_can_load", 8, 10),
    "bet": ("may_have_happened", 24, 30),
    "slow": ("running", 24, 30),
    "quota": ("not_soon", 480, 600),
    "wallet": ("paced", 1, 600),
}
# More than the five changes that BigQuery takes of an unpartitioned table in ten seconds.
WALLETS = 7


def in_trouble(request: Request, forward: Callable[[], Answer]) -> Answer | None:
    """BigQuery on a bad day."""
    path, is_insert = request.path, request.path.startswith("/upload/")
    if path.endswith("/tables/player") or "/tables/player?" in path:
        return refusal(503, "backendError", "Error encountered during execution. Retrying may solve the problem.")
    if is_insert and b"_game_quota_" in request.body:
        return refusal(403, "quotaExceeded", "Quota exceeded: Your project exceeded quota for load jobs per day.")
    if is_insert and b"_game_bet_" in request.body:
        answer = forward()
        # The first time it happens, and nobody hears of it.
        return None if answer.status == 200 else answer
    if "/jobs/" in path and "_game_bet_" in path:
        return refusal(404, "notFound", "Not found: Job acme-dw:asia-northeast3.it_lags_behind")
    if "/jobs/" in path and "_game_slow_" in path:
        answer = forward()
        job = json.loads(answer.body)
        return Answer.json(answer.status, job | {"status": {"state": "RUNNING"}} if "status" in job else job)
    return forward()


def refusal(status: int, reason: str, message: str) -> Answer:
    return Answer.json(status, {"error": {"code": status, "message": message, "errors": [{"reason": reason}]}})


def test_what_may_pass_stays_away_as_its_disposition_says_and_loads_once_from_the_dead_letter_queue(journey):
    journey.allow_receives(1)
    keys = [key(table) for table in WAITS if table != "wallet"]
    keys += [key("wallet", number) for number in range(1, WALLETS + 1)]
    for object_key in keys:
        journey.put(object_key)
    journey.await_news(len(keys))
    journey.to_bigquery.rule = in_trouble
    # So short that the running job is left to the next receive by the deadline.
    journey.deploy(timeout_secs=10)
    lines = journey.poll()
    replied = time.monotonic()
    returned = {line["message_id"]: line["key"] for line in lines if line["outcome"] == "returned"}
    paced = {object_key for object_key in returned.values() if "/wallet/" in object_key}
    assert 1 <= len(paced) <= WALLETS - 4, paced
    expected = {key(table): disposition for table, (disposition, *_) in WAITS.items() if table != "wallet"}
    dispositions = {line["key"]: line["disposition"] for line in lines if line["outcome"] == "returned"}
    assert dispositions == expected | dict.fromkeys(paced, "paced")
    stays_away_as_asked(journey, returned, replied)
    dies_as_it_was_sent(journey, returned)

    # The day is over, and a person has made the dataset.
    journey.to_bigquery.rule = pass_on
    dataset = {"datasetReference": {"projectId": "acme-dw", "datasetId": "casino_b"}, "location": "asia-northeast3"}
    journey.warehouse.call("POST", "datasets", dataset)
    journey.allow_receives(50)
    journey.redrive()
    lines = journey.poll_until(journey.is_empty, 40)
    ends = {line["key"]: line["code"] for line in lines if line["outcome"] == "loaded"}
    # Of two of them the job was there already.
    there_already = dict.fromkeys([key("bet"), key("slow")], "job.adopted")
    assert ends == dict.fromkeys(returned.values()) | there_already
    assert journey.dead() == set()
    loaded = {table: 12 for table in WAITS} | {"wallet": 12 * WALLETS}
    assert rows(journey) == loaded

    # And once more, as SQS may at any time. (The wallets would wait for their turns.)
    bodies = {body for body in journey.bodies.values() if "wallet" not in body}
    for body in bodies:
        journey.send(body)
    lines = journey.poll_until(journey.is_empty, 20)
    assert [line["code"] for line in lines] == ["job.adopted"] * len(bodies)
    assert rows(journey) == loaded


def stays_away_as_asked(journey: Journey, returned: dict[str, str], replied: float) -> None:
    """The visibility that was asked for is that of the disposition, and it is in force."""
    asked = journey.asked()
    assert set(asked) == set(returned), "each is asked for, and nothing else"
    for message_id, object_key in returned.items():
        _, shortest, longest = WAITS[object_key.split("/")[2]]
        assert shortest <= asked[message_id] <= longest, (object_key, asked[message_id])
    seen = {}
    soon = {message_id for message_id, secs in asked.items() if secs <= 10}
    while not soon <= set(seen):
        for message_id in journey.visible() - set(seen):
            seen[message_id] = time.monotonic() - replied
        assert time.monotonic() - replied < 10 + SLACK_SECS, journey.situation([])
        time.sleep(0.2)
    for message_id, secs in seen.items():
        # The wait was set a little before the reply.
        assert asked[message_id] - 1.5 < secs < asked[message_id] + SLACK_SECS, returned[message_id]
    later = {message_id for message_id, secs in asked.items() if secs > 20}
    assert len(later) >= 3 and not later & journey.visible()


def dies_as_it_was_sent(journey: Journey, returned: dict[str, str]) -> None:
    """Time is turned on for what is still away; with one receive allowed, the next moves every message."""
    for message_id in returned.keys() - journey.visible():
        journey.cloud.sqs.change_message_visibility(
            QueueUrl=journey.queue, ReceiptHandle=journey.handles[message_id], VisibilityTimeout=0
        )
    assert journey.poll_until(lambda: len(journey.dead()) == len(returned), 5) == []
    sent = {message_id: journey.bodies[message_id] for message_id in returned}
    assert journey.dead_bodies() == sent, "byte for byte"


def test_while_bigquery_is_away_messages_wait_and_load_once_it_is_back(journey):
    journey.allow_receives(50)
    journey.put(key("player"))
    journey.put(key("bet"))
    journey.await_news(2)
    # With nothing in between, so that nobody listens there.
    journey.bigquery_url = journey.warehouse.url
    journey.deploy()
    journey.warehouse.stop()
    lines = journey.poll()
    replied = time.monotonic()
    assert {line["disposition"] for line in lines} == {"may_pass"}, lines
    assert all(8 <= secs <= 10 for secs in journey.asked().values())
    journey.warehouse.start()
    assert journey.poll() == [], "they are away"
    lines = journey.poll_until(journey.is_empty, 10 + SLACK_SECS + 5)
    assert time.monotonic() - replied > 6.5
    assert sorted((line["key"], line["outcome"]) for line in lines) == [
        (key("bet"), "loaded"),
        (key("player"), "loaded"),
    ]
    assert rows(journey) == {"bet": 12, "player": 12} and journey.dead() == set()
