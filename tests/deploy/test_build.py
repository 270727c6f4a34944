"""What `sam build` and `sam package` make: a zip with the program `bootstrap` at its root, as Cargo.toml's profile `lambda-release` has it."""

import io
import json
import os
import platform
import re
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import boto3
import pytest
import systems

BIN = Path(sys.executable).parent
# By Lambda's names: Rust's target, and the number of the processor in a program's header (e_machine of ELF).
PROCESSORS = {"arm64": ("aarch64-unknown-linux-gnu", 183), "x86_64": ("x86_64-unknown-linux-gnu", 62)}
OWN = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
# Amazon Linux 2023 has this one.
GLIBC = (2, 34)
ZIP_BYTES = 10_000_000


def sam(*arguments, **environment: str) -> None:
    command = [BIN / "sam", *arguments]
    done = subprocess.run(
        command,
        cwd=systems.ROOT,
        env=systems.environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def standard_library(target: str) -> None:
    """Rust's standard library for the other processor, which rustup has for this toolchain, where its server can be reached."""
    try:
        done = subprocess.run(["rustup", "target", "add", target], cwd=systems.ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no rustup here; the release workflow builds this one")
    if done.returncode != 0:
        pytest.skip(f"the standard library of {target} cannot be had here; the release workflow builds this one: {done.stderr}")


@pytest.fixture(scope="module", params=PROCESSORS)
def architecture(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def built(architecture, tmp_path_factory) -> Path:
    """The folder that `sam build` fills; for the processor that is not this machine's, Zig links."""
    if architecture != OWN:
        standard_library(PROCESSORS[architecture][0])
    folder = tmp_path_factory.mktemp("sam") / "build"
    # In a folder of its own: cargo-lambda keeps its packages in `lambda` beside what Cargo makes, and other builds may have
    # left something there.
    target = Path(os.environ.get("CARGO_TARGET_DIR", systems.ROOT / "target")) / "sam-build"
    overrides = ("--parameter-overrides", f"Architecture={architecture}")
    sam("build", "--build-dir", folder, *overrides, CARGO_TARGET_DIR=str(target))
    return folder


@pytest.fixture(scope="module")
def package(built, tmp_path_factory) -> zipfile.ZipFile:
    """The zip that `sam package` puts into a bucket (LocalStack's)."""
    url = os.environ["DMS2BQ_TEST_LOCALSTACK"]
    bucket = f"artefacts-{os.urandom(4).hex()}"
    own = {"region_name": "eu-west-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    s3 = boto3.client("s3", endpoint_url=url, **own)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    out = tmp_path_factory.mktemp("package") / "template.json"
    sam(
        "package", "--template-file", built / "template.yaml", "--s3-bucket", bucket, "--output-template-file", out, "--use-json",
        AWS_ENDPOINT_URL=url,
    )  # fmt: skip
    functions = json.loads(out.read_text())["Resources"]
    places = {functions[name]["Properties"]["CodeUri"] for name in ("LoaderLambdaFunction", "FullLoadLambdaFunction")}
    [(found_bucket, key)] = [re.fullmatch("s3://([^/]+)/(.+)", place).groups() for place in places]
    return zipfile.ZipFile(io.BytesIO(s3.get_object(Bucket=found_bucket, Key=key)["Body"].read()))


def test_the_zip_holds_one_program_at_its_root(package, architecture):
    [entry] = package.infolist()
    assert entry.filename == "bootstrap"
    assert stat.S_IMODE(entry.external_attr >> 16) & 0o111 == 0o111
    assert int.from_bytes(package.read("bootstrap")[18:20], "little") == PROCESSORS[architecture][1]
    print(f"\nthe zip that sam made for {architecture}: {entry.compress_size / 1e6:.1f} MB; bootstrap: {entry.file_size / 1e6:.1f} MB")
    assert entry.compress_size < ZIP_BYTES


def test_the_program_runs_on_amazon_linux_2023(package):
    versions = {tuple(map(int, found)) for found in re.findall(rb"GLIBC_(\d+)\.(\d+)", package.read("bootstrap"))}
    assert versions and max(versions) <= GLIBC


def test_a_panic_in_it_can_be_caught(package, architecture, tmp_path):
    if architecture != OWN:
        pytest.skip(f"a program for {architecture} does not run here; the profile is the same")
    program = tmp_path / "bootstrap"
    program.write_bytes(package.read("bootstrap"))
    program.chmod(0o755)
    # Lambda's runtime panics where others of its variables are missing. Unwinding ends with 101, and aborting by a signal.
    done = subprocess.run([program], env={"AWS_LAMBDA_FUNCTION_NAME": "dms2bq"}, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 101, done
    assert "bug.panic" in done.stdout


def test_sam_builds_by_the_profile_for_the_lambda():
    cargo = tomllib.loads((systems.ROOT / "Cargo.toml").read_text())
    build = cargo["package"]["metadata"]["lambda"]["build"]
    profile = dict(cargo["profile"]["lambda-release"])
    assert profile.pop("inherits") == "release"
    said = {f"profile.release.{name}={json.dumps(value)}" for name, value in profile.items()}
    assert set(build["config"]) == said
    # cargo-lambda's own are panic = "abort", among others.
    assert build["disable_optimizations"] and build["no_default_features"] and build["locked"]
