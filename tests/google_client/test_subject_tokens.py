"""Google's own library for Python proves who it is in AWS by the same call as we do.

The cases are those that the Rust tests hold our signer to (`tests/cases/subject_tokens`).
"""

import datetime
import json
import re
import urllib.parse
from pathlib import Path
from unittest import mock

import pytest
from google.auth import aws

CASES = sorted((Path(__file__).parents[1] / "cases/subject_tokens").glob("*.json"))


class Supplier(aws.AwsSecurityCredentialsSupplier):
    def __init__(self, case: dict):
        self.case = case

    def get_aws_security_credentials(self, context, request):
        case = self.case
        return aws.AwsSecurityCredentials(case["access_key_id"], case["secret_access_key"], case["session_token"])

    def get_aws_region(self, context, request):
        return self.case["region"]


def by_googles_library(case: dict) -> dict:
    credentials = aws.Credentials(
        audience=case["audience"],
        subject_token_type="urn:ietf:params:aws:token-type:aws4_request",
        aws_security_credentials_supplier=Supplier(case),
    )
    credentials._cred_verification_url = case["regional_cred_verification_url"]
    moment = datetime.datetime.fromisoformat(case["time"].replace("Z", "+00:00")).replace(tzinfo=None)
    with mock.patch("google.auth._helpers.utcnow", return_value=moment):
        token = credentials.retrieve_subject_token(None)
    return json.loads(urllib.parse.unquote(token))


def headers(call: dict) -> dict[str, str]:
    return {header["key"].lower(): header["value"] for header in call["headers"]}


def part(authorization: str, name: str) -> str:
    return re.search(rf"{name}=([^,]+)", authorization).group(1)


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_both_describe_the_same_call(file):
    case = json.loads(file.read_text())
    ours, theirs = case["signed_call"], by_googles_library(case)
    assert set(ours) == set(theirs) == {"url", "method", "headers"}
    assert (ours["url"], ours["method"]) == (theirs["url"], theirs["method"])
    our_headers, their_headers = headers(ours), headers(theirs)
    our_signature, their_signature = our_headers.pop("authorization"), their_headers.pop("authorization")
    assert our_headers == their_headers
    assert part(our_signature, "Credential") == part(their_signature, "Credential")
    # All that they sign, we sign; and the provider's name besides, which Google recommends.
    our_signed = set(part(our_signature, "SignedHeaders").split(";"))
    their_signed = set(part(their_signature, "SignedHeaders").split(";"))
    assert our_signed - their_signed <= {"x-goog-cloud-target-resource"} and their_signed <= our_signed
    if our_signed == their_signed:
        assert our_signature == their_signature
