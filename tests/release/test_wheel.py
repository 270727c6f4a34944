"""The command line as a Python wheel: built, put into an environment that has nothing else, and used."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tools
from conftest import ROOT

KEY = "s3://acme-landing/dms/casino-a/game/player/2022/12/01/20221201-093015123.parquet"


def run(*command, **options) -> str:
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built as a release is, but for the profile: optimising would take minutes and change nothing here."""
    folder = tmp_path_factory.mktemp("wheel")
    maturin = tools.python("release").parent / "maturin"
    run(maturin, "build", "--profile", "dev", "--locked", "--out", folder)
    [wheel] = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_one_program_and_no_python(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    [program] = names
    assert program.endswith(".data/scripts/dms2bq")


def test_the_wheel_installed_into_a_fresh_environment_explains_a_key(wheel, tmp_path):
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin/python"
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-index", wheel)
    mappings = os.environ | {"DMS2BQ_MAPPINGS": str(ROOT / "samples/mappings")}
    explained = run(environment / "bin/dms2bq", "explain", KEY, env=mappings)
    assert "would be loaded" in explained and "acme-dw.casino_a.player_log" in explained, explained
    version = run(environment / "bin/dms2bq", "--version")
    assert wheel.name.startswith(f"dms2bq-{version.split()[1]}-"), (wheel.name, version)
