"""The real `bootstrap`, without a key: a role of moto's or LocalStack's, Google's hosts behind a proxy that opens TLS.

Nothing is overridden in the function but what a company's network would: HTTPS_PROXY and SSL_CERT_FILE.
"""

import json
import time

import boto3
import botocore.credentials
import pytest
from conftest import SAMPLES
from google_side import GoogleSide, serving
from test_objects_to_rows import ON, TWELVE, deliver, landing  # noqa: F401  (a fixture)

PROVIDER = "projects/123456789012/locations/global/workloadIdentityPools/dms2bq/providers/aws-lambda"
ACCOUNT = "dms2bq-loader@acme-dw.iam.gserviceaccount.com"
KEY = "dms/casino-a/game/player/LOAD00000001.parquet"


def session_of_a_role(cloud, name: str):
    """Temporary credentials, as Lambda gets them for its role."""
    sts = boto3.client(
        "sts", endpoint_url=cloud.url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    assumed = sts.assume_role(RoleArn=f"arn:aws:iam::000000000000:role/{name}", RoleSessionName="dms2bq-function")
    keys = assumed["Credentials"]
    arn = assumed["AssumedRoleUser"]["Arn"].rsplit("/", 1)[0] + "/"
    return botocore.credentials.Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]), arn


@pytest.fixture
def google(landing, bigquery, tmp_path):  # noqa: F811
    credentials, arn = session_of_a_role(landing.cloud, "dms2bq-loader")
    side = GoogleSide(tmp_path, landing.cloud.url, bigquery.url, PROVIDER, ACCOUNT, arn)
    side.secrets[credentials.access_key] = credentials
    side.role = credentials
    with serving(side):
        yield side


def environment(landing, google, credentials=None) -> dict[str, str]:  # noqa: F811
    credentials = credentials or google.role
    return ON | {
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token,
        "AWS_ENDPOINT_URL": landing.cloud.url,
        "DMS2BQ_MAPPINGS": str(landing.mappings),
        "DMS2BQ_GOOGLE_PROVIDER": PROVIDER,
        "DMS2BQ_GOOGLE_SERVICE_ACCOUNT": ACCOUNT,
        "HTTPS_PROXY": google.url,
        "NO_PROXY": "127.0.0.1",
        "SSL_CERT_FILE": str(google.authority),
        "RUST_LOG": "debug",
    }


def no_secret_in(log: str, google) -> None:
    for secret in [google.role.secret_key, google.role.token, "federated-secret", "account-secret", "Signature="]:
        assert secret not in log, f"{secret[:12]}… is in the log"


def test_a_role_of_aws_loads_into_bigquery_without_a_key(landing, bigquery, google, function):  # noqa: F811
    landing.put("acme-landing", KEY, TWELVE)
    handler = function(environment(landing, google))
    messages = landing.news()
    assert deliver(handler, messages) == set(), handler.log.read_text()[-3000:]
    assert bigquery.rows("casino_a.player_log") == 12
    assert deliver(handler, messages) == set()
    assert bigquery.rows("casino_a.player_log") == 12
    asked = [line.split(" ")[0] for line in google.seen]
    assert (asked.count("sts.googleapis.com"), asked.count("iamcredentials.googleapis.com")) == (1, 1), google.seen
    no_secret_in(handler.log.read_text(), google)


def test_tokens_that_expire_are_renewed_under_load_and_no_message_comes_back(landing, bigquery, google, function):  # noqa: F811
    google.life_secs = 2
    handler = function(environment(landing, google))
    objects = sorted((SAMPLES / "acme-landing/dms/casino-a/game/player").glob("LOAD*.parquet"))
    began = time.time()
    for round in range(100):
        file = objects[round % len(objects)]
        landing.put("acme-landing", f"dms/casino-a/game/player/LOAD{round + 1:08X}.parquet", file.read_bytes())
        assert deliver(handler, landing.cloud.receive_all(landing.queue, wait_secs=0)) == set()
        exchanges = sum(line.startswith("sts.") for line in google.seen)
        if exchanges >= 3:
            break
    assert exchanges >= 3, f"{exchanges} in {time.time() - began:.0f} s"


def test_a_role_that_the_provider_does_not_admit_is_told_so(landing, bigquery, google, function):  # noqa: F811
    other, _arn = session_of_a_role(landing.cloud, "another-role")
    google.secrets[other.access_key] = other
    landing.put("acme-landing", KEY, TWELVE)
    handler = function(environment(landing, google, other))
    messages = landing.news()
    assert deliver(handler, messages) == {message["messageId"] for message in messages if "Records" in message["body"]}
    [line] = handler.lines()
    assert line["code"] == "job.denied"
    assert "sign_in.condition" in json.dumps(line) and "attribute condition" in json.dumps(line)
    assert bigquery.rows("casino_a.player_log") is None
    no_secret_in(handler.log.read_text(), google)


def test_a_proxy_that_nobody_vouches_for_gets_no_token(landing, bigquery, google, function):  # noqa: F811
    landing.put("acme-landing", KEY, TWELVE)
    distrusting = environment(landing, google)
    del distrusting["SSL_CERT_FILE"]
    handler = function(distrusting)
    deliver(handler, landing.news())
    [line] = handler.lines()
    assert line["code"] == "job.not_sent" and "sign_in.unreachable" in json.dumps(line), line
    assert google.seen == []
