"""What people do with the client: load, ask, list, delete."""

import io
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud import bigquery

PARQUET = bigquery.SourceFormat.PARQUET


def parquet(table, **options):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def small(ids=(1, 2, 3)):
    return parquet(pa.table({"id": pa.array(ids, pa.int64())}))


def load(client, data, table, job_id=None, with_size=True, **options):
    config = bigquery.LoadJobConfig(source_format=PARQUET, **options)
    size = len(data) if with_size else None
    return client.load_table_from_file(io.BytesIO(data), table, size=size, job_id=job_id, job_config=config)


def test_a_small_file_goes_in_one_request(client, table):
    job = load(client, small(), table, labels={"object": "0123abcd", "rows": "3"})
    assert job.result().output_rows == 3
    assert (job.state, job.error_result, job.errors) == ("DONE", None, None)
    assert job.labels == {"object": "0123abcd", "rows": "3"}
    assert job.location == "EU"
    assert job.created <= job.started <= job.ended
    assert job.input_files == 1 and job.input_file_bytes == len(small())


def test_a_file_of_unknown_size_goes_through_a_session(client, table):
    assert load(client, small(), table, with_size=False).result().output_rows == 3


def test_a_large_file_goes_in_chunks(client, table, monkeypatch):
    monkeypatch.setattr("google.cloud.bigquery.client._DEFAULT_CHUNKSIZE", 8 * 1024 * 1024)
    rows = 420_000
    words = pa.array([f"{(n * 0x9E3779B97F4A7C15) & (2**192 - 1):048x}" for n in range(rows)])
    data = parquet(pa.table({"id": pa.array(range(rows), pa.int64()), "word": words}), compression="none", use_dictionary=False)
    assert 25_000_000 < len(data) < 40_000_000
    job = load(client, data, table)
    assert job.result(timeout=300).output_rows == rows
    assert job.input_file_bytes == len(data)
    assert client.get_table(table).num_rows == rows
    page = list(client.list_rows(table, start_index=rows - 2, max_results=5))
    assert [row["id"] for row in page] == [rows - 2, rows - 1]


def test_a_fixed_job_id_is_used_once(client, table):
    job_id = f"fixed-{uuid.uuid4().hex}"
    load(client, small(), table, job_id=job_id).result()
    for with_size in (True, False):
        with pytest.raises(exceptions.Conflict, match=f"Already Exists: Job proj:EU.{job_id}"):
            load(client, small(), table, job_id=job_id, with_size=with_size)
    assert client.get_table(table).num_rows == 3


def test_a_corrupt_file_is_a_done_job_with_errors_that_stays(client, table):
    job_id = f"corrupt-{uuid.uuid4().hex}"
    job = load(client, small()[:-20], table, job_id=job_id)
    with pytest.raises(exceptions.BadRequest):
        job.result()
    for seen in (job, client.get_job(job_id), client.get_job(job_id)):
        assert seen.state == "DONE"
        assert seen.error_result["reason"] == "invalid"
        assert seen.errors == [seen.error_result]
    with pytest.raises(exceptions.NotFound):
        client.get_table(table)
    with pytest.raises(exceptions.Conflict):
        load(client, small(), table, job_id=job_id)


def test_jobs_are_found_by_id_and_listed(client, table):
    ids = [f"listed-{n}-{uuid.uuid4().hex}" for n in range(3)]
    for job_id in ids:
        load(client, small(), table, job_id=job_id).result()
    found = client.get_job(ids[0])
    assert (found.job_id, found.output_rows, found.destination.table_id) == (ids[0], 3, "t")
    listed = [job.job_id for job in client.list_jobs(max_results=3)]
    assert listed == list(reversed(ids))
    assert set(ids) <= {job.job_id for job in client.list_jobs(page_size=2, state_filter="done")}
    with pytest.raises(exceptions.NotFound):
        client.get_job("nobody")
    with pytest.raises(exceptions.NotFound):
        client.get_job(ids[0], location="US")


def test_a_job_can_be_cancelled_before_it_commits(client, table):
    job = load(client, small(), table)
    job.cancel()
    try:
        job.result()
        assert client.get_table(table).num_rows == 3
    except exceptions.GoogleAPICallError:
        assert job.error_result["reason"] == "stopped"
        with pytest.raises(exceptions.NotFound):
            client.get_table(table)


def test_a_table_tells_its_schema_and_layout(client, table):
    data = parquet(
        pa.table(
            {"at": pa.array([0], pa.timestamp("us", "UTC")), "name": ["a"]},
            schema=pa.schema([pa.field("at", pa.timestamp("us", "UTC"), nullable=False), pa.field("name", pa.string())]),
        )
    )
    by_month = bigquery.TimePartitioning(type_="MONTH", field="at")
    load(client, data, table, time_partitioning=by_month, clustering_fields=["name"]).result()
    found = client.get_table(table)
    assert [(field.name, field.field_type, field.mode) for field in found.schema] == [
        ("at", "TIMESTAMP", "REQUIRED"),
        ("name", "STRING", "NULLABLE"),
    ]
    assert (found.time_partitioning.type_, found.time_partitioning.field) == ("MONTH", "at")
    assert found.clustering_fields == ["name"]
    assert (found.num_rows, found.location, found.table_type) == (1, "EU", "TABLE")
    assert found.created <= found.modified


def test_loads_append_and_may_add_columns(client, table):
    load(client, small(), table).result()
    wider = parquet(pa.table({"id": [4], "note": ["new"]}))
    with pytest.raises(exceptions.BadRequest, match="Cannot add fields"):
        load(client, wider, table).result()
    addition = [bigquery.SchemaUpdateOption.ALLOW_FIELD_ADDITION]
    load(client, wider, table, schema_update_options=addition).result()
    assert [tuple(row.values()) for row in client.list_rows(table)] == [(1, None), (2, None), (3, None), (4, "new")]
    other = parquet(pa.table({"id": ["text"]}))
    with pytest.raises(exceptions.BadRequest, match="Field id has changed type from INTEGER to STRING"):
        load(client, other, table).result()


def test_datasets_and_tables_are_made_listed_and_deleted(client, dataset):
    assert client.get_dataset(dataset.reference).location == "EU"
    assert dataset.dataset_id in [item.dataset_id for item in client.list_datasets()]
    with pytest.raises(exceptions.Conflict):
        client.create_dataset(dataset)
    made = bigquery.Table(dataset.table("made"), [bigquery.SchemaField("id", "INT64", "REQUIRED")])
    made.time_partitioning = bigquery.TimePartitioning()
    made.labels = {"team": "dwh"}
    made = client.create_table(made)
    assert (made.schema[0].field_type, made.time_partitioning.type_, made.labels) == ("INTEGER", "DAY", {"team": "dwh"})
    assert [item.table_id for item in client.list_tables(dataset)] == ["made"]
    with pytest.raises(exceptions.BadRequest, match="still in use"):
        client.delete_dataset(dataset)
    client.delete_table(made)
    with pytest.raises(exceptions.NotFound):
        client.get_table(made)
    assert list(client.list_tables(dataset)) == []


def test_queries_say_that_there_is_no_sql(client):
    for ask in (client.query, client.query_and_wait):
        with pytest.raises(exceptions.MethodNotImplemented, match="embedded BigQuery of dms2bq"):
            ask("SELECT 1")


def test_what_else_is_not_there_says_so(client, table):
    with pytest.raises(exceptions.MethodNotImplemented):
        client.load_table_from_uri("gs://bucket/file.parquet", table, job_config=bigquery.LoadJobConfig(source_format=PARQUET))
    with pytest.raises(exceptions.MethodNotImplemented):
        client.load_table_from_file(io.BytesIO(b"a,b"), table, job_config=bigquery.LoadJobConfig(source_format="CSV"))
    with pytest.raises(exceptions.MethodNotImplemented):
        client.insert_rows_json(table, [{"id": 1}])
