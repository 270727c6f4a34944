"""The real `bootstrap` under AWS's own Runtime Interface Emulator, by the cases that Rust's tests go through, too."""

import json
import socket
import time

import pytest
from conftest import AWS, ROOT

CASES = sorted((ROOT / "tests/cases/invocations").glob("*.json"))
NOWHERE = AWS | {"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}


@pytest.mark.parametrize("honoured", ["on", "off"])
def test_replies_are_those_of_the_cases(function, honoured):
    handler = function(NOWHERE | {"DMS2BQ_PARTIAL_BATCH_RESPONSE": honoured})
    assert CASES, "the cases are found"
    for path in CASES:
        case = json.loads(path.read_text())
        reply = handler.invoke(case["event"]["Records"])
        error, failures = case["error_without_partial_replies"], case["failures"]
        if error and (honoured == "off" or failures is None):
            assert "errorType" in reply, (path, reply)
        else:
            expected = [{"itemIdentifier": failure} for failure in failures]
            assert reply == {"batchItemFailures": expected}, path


def test_the_reply_comes_before_lambda_kills_the_function(function):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        s3 = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = {"DMS2BQ_PARTIAL_BATCH_RESPONSE": "on", "AWS_ENDPOINT_URL_S3": s3}
        handler = function(NOWHERE | settings, timeout_secs=5)
        address = {"bucket": {"name": "acme-landing"}, "object": {"key": "dms/casino-a/game/player/LOAD00000001.parquet"}}
        record = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": address}
        messages = [
            {"messageId": "slow", "body": json.dumps({"Records": [record]})},
            {"messageId": "good", "body": json.dumps({"Event": "s3:TestEvent"})},
        ]
        started = time.monotonic()
        assert handler.invoke(messages) == {"batchItemFailures": [{"itemIdentifier": "slow"}]}
        assert time.monotonic() - started < 5
