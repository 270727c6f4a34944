#!/usr/bin/env python3
"""How much memory `bootstrap` takes, by the size of what it loads.

    benches/memory/run.py

Builds `bootstrap` as the Lambda gets it, makes Parquet files as DMS writes them (1 MB, 1 GB, 200 MB), and lets a fresh
`bootstrap` load each batch: the small file, the large one, and ten of 200 MB at once. It runs under a small
Lambda Runtime API, reads from a small S3 over a folder, and uploads into the embedded BigQuery. What is printed is the peak of
resident memory as Linux counts it (VmHWM).

Needs nothing but Python's standard library and some 5 GB of free disk. Limits: the large file within 16 MiB of the small one,
the ten files within 32 MiB of it. Exits with 1 beyond a limit, or if not all was loaded.

    --warehouse void   uploads into a server that counts and forgets instead, to leave the embedded BigQuery's speed out
    --keep DIR         makes the files in DIR and leaves them there
    --bootstrap FILE   measures this build instead of making one
    --dms2bq FILE      takes the embedded BigQuery from this build instead of making one
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import servers

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUCKET = "acme-landing"
MIB = 1024 * 1024
DEADLINE_S = 900
LAMBDA_BUILD = ["--no-default-features", "--profile", "lambda-release", "--bin", "bootstrap"]

MAPPING = {
    "source": {"bucket": BUCKET, "bucket_folder": "dms"},
    "destination": {"project": "acme-dw", "location": "US", "dataset": "memory"},
    "tables": [{"schema": "game", "table": "player_%", "destination": {"table": "{table}"}}],
}


def main():
    arguments = parse_arguments()
    target = target_folder()
    programs = Programs(
        bootstrap=arguments.bootstrap or build(target / "lambda-release/bootstrap", LAMBDA_BUILD),
        make=build(target / "debug/examples/make-samples", ["--example", "make-samples"]),
        dms2bq=None,
    )
    if arguments.warehouse == "embedded":
        programs.dms2bq = arguments.dms2bq or build(target / "release/dms2bq", ["--release", "--bin", "dms2bq"])
    with tempfile.TemporaryDirectory(prefix="dms2bq-memory-") as scratch:
        scratch = pathlib.Path(scratch)
        folder = make_files(programs.make, arguments.keep or scratch / "files")
        (scratch / "mapping.json").write_text(json.dumps(MAPPING))
        runs = [
            measure(name, files, folder, scratch, programs)
            for name, files in (
                ("one file of 1 MB", ["small.parquet"]),
                ("one file of 1 GB", ["large.parquet"]),
                ("ten files of 200 MB", ["medium.parquet"] * 10),
            )
        ]
    return report(runs)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", choices=["embedded", "void"], default="embedded")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--bootstrap", type=pathlib.Path)
    parser.add_argument("--dms2bq", type=pathlib.Path)
    return parser.parse_args()


@dataclasses.dataclass
class Programs:
    bootstrap: pathlib.Path
    make: pathlib.Path
    dms2bq: pathlib.Path | None


def target_folder():
    command = ["cargo", "metadata", "--format-version=1", "--no-deps"]
    metadata = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return pathlib.Path(json.loads(metadata.stdout)["target_directory"])


def build(program, options):
    subprocess.run(["cargo", "build", "--quiet", "--locked", *options], cwd=REPOSITORY, check=True)
    return program


def make_files(make, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in (("small", 1_000_000), ("medium", 200_000_000), ("large", 1_000_000_000)):
        path = folder / f"{name}.parquet"
        if not path.exists():
            subprocess.run([make, path, str(size)], check=True)
    return folder


def measure(name, files, folder, scratch, programs):
    """Lets a fresh bootstrap load the files as one batch, and reads its peak before it is stopped."""
    objects = {f"dms/game/player_{n}/LOAD00000001.parquet": folder / file for n, file in enumerate(files)}
    s3 = servers.start(servers.Objects(BUCKET, objects))
    runtime = servers.start(servers.RuntimeApi(batch(objects), DEADLINE_S))
    with servers.warehouse(programs.dms2bq, scratch) as bigquery:
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": runtime.address,
            "AWS_LAMBDA_FUNCTION_NAME": "dms2bq",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_ENDPOINT_URL_S3": f"http://{s3.address}",
            "BIGQUERY_EMULATOR_HOST": bigquery,
            "DMS2BQ_MAPPINGS": str(scratch / "mapping.json"),
            "DMS2BQ_PARTIAL_BATCH_RESPONSE": "on",
        }
        log_path = scratch / "bootstrap.log"
        with open(log_path, "wb") as log:
            process = subprocess.Popen([programs.bootstrap], env=environment, stdout=log, stderr=log)
            start = time.monotonic()
            try:
                runtime.wait_for_answer(process, DEADLINE_S)
                seconds = time.monotonic() - start
                peak_bytes = peak_of(process.pid)
            finally:
                process.kill()
                process.wait()
    s3.stop()
    runtime.stop()
    left = [message["messageId"] for message in runtime.messages]
    if left:
        print(runtime.outcome, log_path.read_text(), file=sys.stderr)
    size_bytes = sum(path.stat().st_size for path in objects.values())
    return {
        "name": name,
        "size": size_bytes,
        "peak": peak_bytes,
        "seconds": seconds,
        "receives": runtime.receives,
        "left": left,
    }


def batch(objects):
    """An SQS event with one message for each object."""
    return {"Records": [message(n, key, path) for n, (key, path) in enumerate(objects.items())]}


def message(number, key, path):
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2022-12-01T09:30:15.123Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": BUCKET},
            "object": {"key": key, "size": path.stat().st_size, "eTag": servers.etag(path), "sequencer": "00"},
        },
    }
    return {
        "messageId": f"00000000-0000-4000-8000-{number:012}",
        "receiptHandle": f"receipt-{number}",
        "body": json.dumps({"Records": [record]}),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(int(time.time() * 1000)),
            "SenderId": "AIDA",
            "ApproximateFirstReceiveTimestamp": str(int(time.time() * 1000)),
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:landing",
        "awsRegion": "eu-central-1",
    }


def peak_of(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("Linux tells no peak")


def report(runs):
    small = runs[0]["peak"]
    limits = [None, 16 * MIB, 32 * MIB]
    print(f"{'':22}{'MB':>8}{'s':>8}{'MB/s':>8}{'peak MiB':>10}{'more MiB':>10}{'limit':>8}{'receives':>10}{'left':>6}")
    held = True
    for run, limit in zip(runs, limits):
        more = run["peak"] - small
        held = held and not run["left"] and (limit is None or more <= limit)
        megabytes = run["size"] / 1e6
        print(
            f"{run['name']:22}{megabytes:8.0f}{run['seconds']:8.1f}{megabytes / run['seconds']:8.0f}"
            f"{run['peak'] / MIB:10.1f}{more / MIB:10.1f}{limit // MIB if limit else '':>8}"
            f"{run['receives']:10}{len(run['left']):6}"
        )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
