"""Every type, from a Parquet file through a load to the client, must come out as pyarrow reads it."""

import datetime
import decimal
import io
import math
import os
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud import bigquery

ROOT = pathlib.Path(__file__).resolve().parents[2]
UTC = datetime.timezone.utc
D = decimal.Decimal


def load(client, data, table, **options):
    settings = bigquery.ParquetOptions()
    settings.enable_list_inference = True
    settings.enum_as_string = True
    config = bigquery.LoadJobConfig(
        source_format="PARQUET",
        parquet_options=settings,
        decimal_target_types=["NUMERIC", "BIGNUMERIC", "STRING"],
        **options,
    )
    return client.load_table_from_file(io.BytesIO(data), table, size=len(data), job_config=config).result()


def rows_of(client, table):
    return [dict(row.items()) for row in client.list_rows(table)]


def check(client, table, columns, **writing):
    """Loads columns of (type, values) and compares what comes back."""
    made = pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})
    buffer = io.BytesIO()
    pq.write_table(made, buffer, **writing)
    load(client, buffer.getvalue(), table)
    assert rows_of(client, table) == [plain(row) for row in made.to_pylist()]


def plain(value):
    """What the client gives for what pyarrow gives: naive times are UTC, an absent list is empty."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


def test_numbers(client, table):
    check(
        client,
        table,
        {
            "tiny": (pa.int8(), [-128, 127, None]),
            "small": (pa.int16(), [-32768, 32767, None]),
            "int": (pa.int32(), [-(2**31), 2**31 - 1, None]),
            "big": (pa.int64(), [-(2**63), 2**63 - 1, None]),
            "utiny": (pa.uint8(), [0, 255, None]),
            "usmall": (pa.uint16(), [0, 65535, None]),
            "uint": (pa.uint32(), [0, 2**32 - 1, None]),
            "ubig": (pa.uint64(), [0, 2**63 - 1, None]),
            "float": (pa.float32(), [0.1, -math.inf, None]),
            "double": (pa.float64(), [1e308, 5e-324, None]),
            "bool": (pa.bool_(), [True, False, None]),
        },
    )


def test_not_a_number(client, table):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": [math.nan, math.inf, -math.inf, -0.0]}), buffer)
    load(client, buffer.getvalue(), table)
    values = [row["x"] for row in rows_of(client, table)]
    assert math.isnan(values[0]) and values[1:] == [math.inf, -math.inf, 0.0]
    assert math.copysign(1, values[3]) == -1


def test_text_and_bytes(client, table):
    check(
        client,
        table,
        {
            "text": (pa.string(), ["", "žluťoučký 馬 \x00\n\"'", None]),
            "bytes": (pa.binary(), [b"", bytes(range(256)), None]),
            "fixed": (pa.binary(3), [b"abc", b"\x00\xff\x10", None]),
            "large": (pa.large_string(), ["a" * 100_000, "", None]),
            "words": (pa.dictionary(pa.int8(), pa.string()), ["red", "green", None]),
        },
    )


def test_times(client, table):
    first, last = datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)
    precise = datetime.datetime(2022, 7, 26, 6, 46, 18, 616807)
    before_epoch = datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)
    check(
        client,
        table,
        {
            "micros": (pa.timestamp("us", "UTC"), [first, last, precise, before_epoch, None]),
            "local": (pa.timestamp("us"), [first, last, precise, before_epoch, None]),
            "millis": (pa.timestamp("ms", "UTC"), [first, precise.replace(microsecond=616000), None, None, None]),
            "day": (pa.date32(), [first.date(), last.date(), datetime.date(1970, 1, 1), datetime.date(2024, 2, 29), None]),
        },
        coerce_timestamps=None,
    )


def test_old_timestamps(client, table):
    moments = [datetime.datetime(2022, 7, 26, 6, 46, 18, 616807, UTC), None]
    check(client, table, {"at": (pa.timestamp("us", "UTC"), moments)}, use_deprecated_int96_timestamps=True)


def test_decimals(client, table):
    check(
        client,
        table,
        {
            "price": (pa.decimal128(15, 2), [D("1427131847.59"), D("-0.01"), None]),
            "money": (pa.decimal128(38, 4), [D("9" * 34 + ".9999"), D("-47632969758.5400"), None]),
            "numeric": (pa.decimal128(38, 9), [D("9" * 29 + ".999999999"), D("0E-9"), None]),
            "big": (pa.decimal256(76, 38), [D("1" * 38 + "." + "9" * 38), D("-1E-38"), None]),
            "int32": (pa.decimal128(9, 3), [D("123456.789"), D("-1.000"), None]),
        },
        store_decimal_as_integer=True,
    )


def test_decimals_too_wide_for_bignumeric_are_text(client, table):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array([D("9" * 70), None], pa.decimal256(76, 0))}), buffer)
    load(client, buffer.getvalue(), table)
    assert rows_of(client, table) == [{"x": "9" * 70}, {"x": None}]


def test_datetime_and_time_with_an_explicit_schema(client, table):
    moments = [datetime.datetime(2022, 7, 26, 6, 46, 18, 616807), datetime.datetime(1, 1, 1), None]
    times = [datetime.time(23, 59, 59, 999999), datetime.time(0, 0), None]
    buffer = io.BytesIO()
    made = pa.table({"at": pa.array(moments, pa.timestamp("us")), "t": pa.array(times, pa.time64("us"))})
    pq.write_table(made, buffer)
    load(client, buffer.getvalue(), table, schema=[bigquery.SchemaField("at", "DATETIME"), bigquery.SchemaField("t", "TIME")])
    assert rows_of(client, table) == made.to_pylist()


def test_lists_and_records(client, table):
    check(
        client,
        table,
        {
            "list": (pa.list_(pa.int32()), [[1, 2], [], [3]]),
            "record": (pa.struct({"a": pa.int32(), "b": pa.string()}), [{"a": 1, "b": "x"}, {"a": None, "b": None}, None]),
            "records": (pa.list_(pa.struct({"at": pa.date32()})), [[{"at": datetime.date(2022, 1, 1)}, {"at": None}], [], []]),
            "deep": (
                pa.struct({"xs": pa.list_(pa.decimal128(9, 2)), "r": pa.struct({"f": pa.float64()})}),
                [{"xs": [D("1.25")], "r": {"f": 0.5}}, {"xs": [], "r": None}, {"xs": [], "r": {"f": None}}],
            ),
        },
    )


def test_a_null_in_a_list_is_refused(client, table):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"xs": pa.array([[1, None]], pa.list_(pa.int32()))}), buffer)
    with pytest.raises(exceptions.BadRequest, match="only optional fields can be set to NULL"):
        load(client, buffer.getvalue(), table)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_codec_and_page_version(client, table, compression, version):
    ids = (pa.int64(), [*range(5000), None])
    names = (pa.string(), [f"name {n % 7}" for n in range(5000)] + [None])
    check(
        client,
        table,
        {"id": ids, "name": names},
        compression=compression,
        data_page_version=version,
        row_group_size=1300,
        data_page_size=2000,
    )


def files():
    folder = pathlib.Path(os.environ.get("DMS2BQ_PARQUET_DIR", ROOT / "samples"))
    return sorted(folder.rglob("*.parquet")) if folder.is_dir() else []


@pytest.mark.parametrize("file", files(), ids=lambda file: file.name)
def test_a_file_comes_back_as_pyarrow_reads_it(client, table, file):
    data = file.read_bytes()
    try:
        expected = pq.read_table(io.BytesIO(data))
    except pa.ArrowInvalid:
        with pytest.raises(exceptions.BadRequest):
            load(client, data, table)
        return
    load(client, data, table)
    found = rows_of(client, table)
    assert len(found) == expected.num_rows
    assert found == [plain(row) for row in expected.to_pylist()]
