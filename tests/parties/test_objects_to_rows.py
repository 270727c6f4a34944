"""From an object that somebody puts into S3 to its rows in BigQuery, and nobody between them written here but us.

moto and LocalStack keep the objects and write the news of them, AWS's emulator of the Lambda runtime hands the news to
the real `bootstrap`, and that loads into the embedded BigQuery.
"""

import json
import os
import subprocess
import uuid
from collections import Counter

import pytest
from conftest import PROGRAMS, SAMPLES

ON = {"DMS2BQ_PARTIAL_BATCH_RESPONSE": "on"}
OUTCOMES = {"load": "loaded", "ignore": "ignored", "error": "returned"}

# Twelve rows, and eight of another file of the same table.
TWELVE = (SAMPLES / "acme-landing/dms/casino-a/game/player/LOAD00000001.parquet").read_bytes()
EIGHT = (SAMPLES / "acme-landing/dms/casino-a/game/player/2022/12/01/20221201-093015123.parquet").read_bytes()

ODD_NAMES = [
    "a b", " a ", "a+b", "a%b", "a%20b", "a%2Bb", "k=v", "a&b", "a?b#c", "a:b;c,d@e!f$", "it's \"quoted\"", "(a)[b]{c}",
    "back\\slash", "a|b^c~d`e", "a*b", "<a>", "ü", "u\u0308", "카지노", "😀",
]  # fmt: skip


@pytest.fixture
def landing(cloud, tmp_path):
    """The samples' buckets under names of this test's own, one with versions and one without, and their queue."""
    return Landing(cloud, tmp_path)


class Landing:
    def __init__(self, cloud, tmp_path):
        self.cloud, self.name = cloud, uuid.uuid4().hex[:12]
        self.queue = cloud.create_queue(f"news-{self.name}")
        self.buckets = {}
        self.mappings = tmp_path / "mappings"
        self.mappings.mkdir()
        for bucket, versioned in [("acme-landing", True), ("acme-backoffice", False)]:
            self.buckets[bucket] = f"{bucket}-{self.name}"
            cloud.create_bucket(self.buckets[bucket], self.queue, versioned=versioned)
        for mapping in SAMPLES.glob("mappings/*.json"):
            content = json.loads(mapping.read_text())
            if mapping.name != "schema.json":
                content["source"]["bucket"] = self.buckets[content["source"]["bucket"]]
            (self.mappings / mapping.name).write_text(json.dumps(content))

    def put(self, bucket: str, key: str, content: bytes) -> None:
        self.cloud.s3.put_object(Bucket=self.buckets[bucket], Key=key, Body=content)

    def put_in_parts(self, bucket: str, key: str, parts: list[bytes]) -> str:
        address = {"Bucket": self.buckets[bucket], "Key": key}
        upload = self.cloud.s3.create_multipart_upload(**address)["UploadId"]
        sent = []
        for number, part in enumerate(parts, 1):
            answer = self.cloud.s3.upload_part(**address, UploadId=upload, PartNumber=number, Body=part)
            sent.append({"PartNumber": number, "ETag": answer["ETag"]})
        return self.cloud.s3.complete_multipart_upload(**address, UploadId=upload, MultipartUpload={"Parts": sent})["ETag"]

    def news(self) -> list[dict]:
        messages = self.cloud.receive_all(self.queue)
        assert messages, "the buckets tell their queue"
        return messages

    def environment(self, bigquery) -> dict[str, str]:
        ours = {"BIGQUERY_EMULATOR_HOST": bigquery.url, "DMS2BQ_MAPPINGS": str(self.mappings)}
        return self.cloud.environment() | ours


def deliver(function, messages: list[dict]) -> set[str]:
    """Hands messages to the function, ten at a time, and gives the ids of those that come back."""
    failed = set()
    for start in range(0, len(messages), 10):
        reply = function.invoke(messages[start : start + 10])
        assert "batchItemFailures" in reply, reply
        failed |= {failure["itemIdentifier"] for failure in reply["batchItemFailures"]}
    return failed


def test_every_sample_becomes_what_it_should_and_a_second_delivery_changes_nothing(landing, bigquery, function):
    expected = json.loads((SAMPLES / "expected.json").read_text())
    rows = Counter()
    for sample in expected:
        landing.put(sample["bucket"], sample["key"], (SAMPLES / sample["bucket"] / sample["key"]).read_bytes())
        if sample["outcome"] == "load":
            rows[sample["table"]] += sample["rows"]
    handler = function(landing.environment(bigquery) | ON)
    messages = landing.news()
    first_failed = deliver(handler, messages)
    tables = {table: bigquery.rows(table) for table in rows}

    became = {}
    for line in handler.lines():
        returned = line["message_id"] in first_failed
        code = line["code"] if returned else None
        became[line["bucket"], line["key"]] = (line["outcome"], code, returned)
    should = {}
    for sample in expected:
        outcome = OUTCOMES[sample["outcome"]]
        address = landing.buckets[sample["bucket"]], sample["key"]
        should[address] = (outcome, sample["code"], outcome == "returned")
    assert became == should
    assert tables == dict(rows)

    assert deliver(handler, messages) == first_failed
    assert {table: bigquery.rows(table) for table in rows} == dict(rows)


def test_keys_with_every_kind_of_character_are_loaded(landing, bigquery, function):
    for name in ODD_NAMES:
        landing.put("acme-landing", f"dms/odd + names/ga me/{name}/LOAD00000001.parquet", TWELVE)
    (landing.mappings / "odd.json").write_text(
        json.dumps(
            {
                "source": {"bucket": landing.buckets["acme-landing"], "bucket_folder": "dms/odd + names"},
                "destination": {"project": "acme-dw", "location": "asia-northeast3", "dataset": "casino_a"},
                "tables": [{"schema": "ga me", "table": "%", "destination": {"table": "odd"}}],
            }
        )
    )
    handler = function(landing.environment(bigquery) | ON)
    assert deliver(handler, landing.news()) == set()
    loaded = {line["key"] for line in handler.lines() if line["outcome"] == "loaded"}
    assert loaded == {f"dms/odd + names/ga me/{name}/LOAD00000001.parquet" for name in ODD_NAMES}
    assert bigquery.rows("casino_a.odd") == 12 * len(ODD_NAMES)


def test_of_an_overwritten_object_the_named_version_is_loaded_or_else_the_last(landing, bigquery, function):
    key = "dms/casino-a/game/player/LOAD00000001.parquet"
    landing.put("acme-landing", key, TWELVE)
    landing.put("acme-landing", key, EIGHT)
    handler = function(landing.environment(bigquery) | ON)
    messages = landing.news()
    assert deliver(handler, messages) == set()
    # moto's events name no version, so that its first one is of an object that is there no more.
    names_version = any("versionId" in message["body"] for message in messages)
    outcomes = sorted((line["outcome"], line["code"]) for line in handler.lines() if line["key"] == key)
    if names_version:
        assert outcomes == [("loaded", None), ("loaded", None)]
        assert bigquery.rows("casino_a.player_log") == 12 + 8
    else:
        assert outcomes == [("ignored", "object.superseded"), ("loaded", None)]
        assert bigquery.rows("casino_a.player_log") == 8


def test_an_object_replaced_where_no_versions_are_kept_is_superseded(landing, bigquery, function):
    key = "dbo/Shift/LOAD00000001.parquet"
    landing.put("acme-backoffice", key, TWELVE)
    landing.put("acme-backoffice", key, (SAMPLES / "acme-backoffice" / key).read_bytes())
    handler = function(landing.environment(bigquery) | ON)
    assert deliver(handler, landing.news()) == set()
    outcomes = sorted((line["outcome"], line["code"]) for line in handler.lines() if line["key"] == key)
    assert outcomes == [("ignored", "object.superseded"), ("loaded", None)]
    assert bigquery.rows("backoffice.shift") == 25


def test_an_object_uploaded_in_parts_is_loaded_once(landing, bigquery, function):
    content = padded(TWELVE, 11 * 1024 * 1024)
    size = 5 * 1024 * 1024
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    etag = landing.put_in_parts("acme-landing", "dms/casino-a/game/player/LOAD00000001.parquet", parts)
    assert etag.endswith('-3"')
    handler = function(landing.environment(bigquery) | ON)
    # moto tells of it twice, as a Put and as a CompleteMultipartUpload.
    assert deliver(handler, landing.news()) == set()
    assert bigquery.rows("casino_a.player_log") == 12


def padded(parquet: bytes, padding: int) -> bytes:
    """The same rows in a larger file: its footer knows where the columns are, so it may stand further behind."""
    footer_length = int.from_bytes(parquet[-8:-4], "little")
    end_of_columns = len(parquet) - 8 - footer_length
    return parquet[:end_of_columns] + bytes(padding) + parquet[end_of_columns:]


def test_mappings_are_read_from_s3(landing, bigquery, function):
    landing.put("acme-landing", "dms/casino-a/game/player/LOAD00000001.parquet", TWELVE)
    config = f"config-{landing.name}"
    landing.cloud.s3.create_bucket(Bucket=config)
    for mapping in landing.mappings.iterdir():
        landing.cloud.s3.put_object(Bucket=config, Key=f"dms2bq/{mapping.name}", Body=mapping.read_bytes())
    handler = function(landing.environment(bigquery) | ON | {"DMS2BQ_MAPPINGS": f"s3://{config}/dms2bq"})
    assert deliver(handler, landing.news()) == set()
    assert bigquery.rows("casino_a.player_log") == 12


def test_without_partial_replies_one_bad_object_fails_the_batch_and_a_second_delivery_adopts(
    landing, bigquery, function
):
    landing.put("acme-landing", "dms/casino-a/game/player/LOAD00000001.parquet", TWELVE)
    landing.put("acme-landing", "dms/casino-a/game/player/LOAD00000002.parquet", b"not Parquet")
    handler = function(landing.environment(bigquery))
    messages = landing.news()
    for _ in range(2):
        reply = handler.invoke(messages)
        assert reply["errorType"] == "outcome.whole_batch", reply
        assert bigquery.rows("casino_a.player_log") == 12


def test_load_loads_one_object_once(landing, bigquery):
    key = "dms/casino-a/game/player/LOAD00000001.parquet"
    landing.put("acme-landing", key, TWELVE)
    landing.put("acme-landing", "dms/casino-a/game/player/LOAD00000002.parquet", b"not Parquet")

    def load(key: str) -> subprocess.CompletedProcess:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        command = [PROGRAMS / "dms2bq", "load", f"s3://{landing.buckets['acme-landing']}/{key}", "--format", "json"]
        environment = inherited | landing.environment(bigquery)
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    for code in [None, "job.adopted"]:
        loaded = load(key)
        assert loaded.returncode == 0, loaded
        record = json.loads(loaded.stdout)
        assert (record["outcome"], record["code"], record["row_count"]) == ("loaded", code, 12)
        assert bigquery.rows("casino_a.player_log") == 12
    refused = load("dms/casino-a/game/player/LOAD00000002.parquet")
    assert refused.returncode == 1, refused
    missing = load("dms/casino-a/game/player/LOAD00000003.parquet")
    assert (missing.returncode, json.loads(missing.stdout)["code"]) == (1, "object.missing"), missing
