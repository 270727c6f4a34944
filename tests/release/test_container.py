"""The container image's file. No engine is needed to lint it; that it builds, only one can show."""

import re
import subprocess
from pathlib import Path

import tools
from conftest import ROOT

CONTAINERFILE = ROOT / "Containerfile"


def hadolint(file: Path) -> subprocess.CompletedProcess:
    program = tools.python("release").parent / "hadolint"
    return subprocess.run([program, "--no-color", file], text=True, capture_output=True)


def test_the_file_passes_its_linter():
    linted = hadolint(CONTAINERFILE)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_linter_would_notice_an_image_without_a_version(tmp_path):
    unpinned = tmp_path / "Containerfile"
    unpinned.write_text(re.sub(r"rust:\S+", "rust:latest", CONTAINERFILE.read_text()))
    linted = hadolint(unpinned)
    assert linted.returncode != 0 and "DL3007" in linted.stdout, linted.stdout


def test_it_builds_with_the_compiler_of_this_repository():
    [channel] = re.findall(r'^channel = "(.+)"$', (ROOT / "rust-toolchain.toml").read_text(), re.M)
    assert f"rust:{channel}-slim" in CONTAINERFILE.read_text()
