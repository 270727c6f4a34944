"""One embedded BigQuery for all tests, and Google's client for it."""

import os
import pathlib
import subprocess
import uuid

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = "proj"
LOCATION = "EU"


@pytest.fixture(scope="session")
def url():
    program = os.environ.get("DMS2BQ_BIN", ROOT / "target/debug/dms2bq")
    process = subprocess.Popen([program, "emulator"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), f"{program} did not say where it listens"
        yield address
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


@pytest.fixture(scope="session")
def client(url):
    return bigquery.Client(
        project=PROJECT,
        location=LOCATION,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": url},
    )


@pytest.fixture
def dataset(client):
    """A dataset of the test's own, deleted with its contents afterwards."""
    made = bigquery.Dataset(f"{PROJECT}.d{uuid.uuid4().hex}")
    made.location = LOCATION
    client.create_dataset(made)
    yield made
    client.delete_dataset(made, delete_contents=True)


@pytest.fixture
def table(dataset):
    """The name of a table that does not exist yet."""
    return f"{dataset.project}.{dataset.dataset_id}.t"
