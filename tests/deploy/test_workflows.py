"""The workflows pass actionlint, and what it does not look at: pins, rights, and who runs whose code with which of them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import systems
import yaml

FOLDER = systems.ROOT / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
PINNED = re.compile(r"uses: ([\w./-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$")


def actionlint(*files: Path) -> list[dict]:
    packages = tools_folder()
    script = Path(__file__).parent / "actionlint.mjs"
    done = subprocess.run(["node", script, packages, *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def tools_folder() -> Path:
    return systems.tools.npm("deploy", systems.HERE / "npm")


def jobs() -> list:
    return [
        pytest.param(job, id=f"{file.stem}: {name}")
        for file in WORKFLOWS
        for name, job in yaml.safe_load(file.read_text())["jobs"].items()
    ]


def steps(job: dict, action: str) -> list[dict]:
    return [step for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]


def test_actionlint_finds_nothing():
    assert len(WORKFLOWS) == 3
    assert actionlint(*WORKFLOWS) == []


@pytest.mark.parametrize(
    "right, wrong, says",
    [
        ("needs.settings.outputs.stack", "needs.setting.outputs.stack", "setting"),
        ("id-token: write", "id-token: writes", "writes"),
        ("timeout-minutes: 15", "timeout-minute: 15", "timeout-minute"),
    ],
)
def test_actionlint_would_notice(right, wrong, says, tmp_path):
    text = (FOLDER / "release.yml").read_text()
    assert right in text
    (tmp_path / "release.yml").write_text(text.replace(right, wrong, 1))
    assert any(says in found["message"] for found in actionlint(tmp_path / "release.yml"))


def test_every_action_is_pinned_to_one_commit_with_its_version_beside_it():
    pins: dict[str, set[str]] = {}
    for file in WORKFLOWS:
        for line in file.read_text().splitlines():
            if re.search(r"\buses:", line):
                pinned = PINNED.search(line)
                assert pinned, f"{file.name}: {line.strip()}"
                pins.setdefault(pinned[1], set()).add(pinned[2])
    assert all(len(commits) == 1 for commits in pins.values()), pins


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_has_no_rights_but_those_of_its_jobs_and_no_keys(file):
    text = file.read_text()
    assert yaml.safe_load(text)["permissions"] == {}
    # With pipefail, so that the end of a pipe does not hide how it began.
    assert yaml.safe_load(text)["defaults"] == {"run": {"shell": "bash"}}
    # Signing in is OpenID Connect's alone: there is nothing stored that could be stolen.
    assert "secrets." not in text


@pytest.mark.parametrize("job", jobs())
def test_a_job_says_its_rights_and_its_patience(job):
    rights = set(job["permissions"].items())
    assert rights <= {("contents", "read"), ("contents", "write"), ("id-token", "write")}
    assert 0 < job["timeout-minutes"] <= 90
    for step in steps(job, "actions/checkout"):
        assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("job", jobs())
def test_nothing_from_outside_is_pasted_into_a_shell(job):
    for step in job["steps"]:
        assert "${{" not in step.get("run", ""), step["run"]


@pytest.mark.parametrize("job", jobs())
def test_rights_in_aws_are_behind_an_environment_or_run_nobodys_code(job):
    signs_in = steps(job, "aws-actions/configure-aws-credentials")
    assert bool(signs_in) == (job["permissions"].get("id-token") == "write")
    if signs_in:
        assert "environment" in job or not steps(job, "actions/checkout")
        assert all("aws-access-key-id" not in step["with"] for step in signs_in)


def test_the_settings_are_those_that_the_workflows_read_and_are_empty_here():
    given = re.findall(r"^([A-Z_]+)=(.*)$", (systems.ROOT / "deploy/settings.env").read_text(), re.M)
    read = {name for file in WORKFLOWS for name in re.findall(r"steps\.read\.outputs\.(\w+)", file.read_text())}
    assert {name for name, _ in given} == read
    assert [name for name, value in given if value] == []


def test_the_settings_are_read_as_they_stand(tmp_path):
    [read] = [step["run"] for step in _job("release.yml", "settings")["steps"] if step.get("id") == "read"]
    (tmp_path / "deploy").mkdir()
    settings = tmp_path / "deploy/settings.env"
    settings.write_text("# a comment\n\nAWS_REGION=eu-west-1\nSTACK_PARAMETERS=LandingBucket=acme LandingFolders=dms/a,dms/b\nDEPLOY_ROLE_ARN=\n")
    said = run_step(read, tmp_path)["outputs"]
    assert said == "AWS_REGION=eu-west-1\nSTACK_PARAMETERS=LandingBucket=acme LandingFolders=dms/a,dms/b\nDEPLOY_ROLE_ARN=\n"


def test_a_tag_that_is_not_the_version_is_refused_with_what_to_do(tmp_path):
    [see] = [step["run"] for step in _job("release.yml", "test")["steps"] if step.get("name") == "See that the tag is the version"]
    shutil.copy(systems.ROOT / "Cargo.toml", tmp_path)
    version = re.search(r'^version = "(.+)"', (systems.ROOT / "Cargo.toml").read_text(), re.M)[1]
    assert run_step(see, tmp_path, TAG=f"v{version}")["code"] == 0
    refused = run_step(see, tmp_path, TAG="v99.0.0")
    assert refused["code"] == 1 and f"Tag v{version}" in refused["said"]


def test_yesterdays_files_are_listed_with_their_buckets_whatever_their_names(tmp_path):
    [listing] = [step["run"] for step in _job("mappings.yml", "listing")["steps"] if step.get("name") == "List yesterday's files"]
    (tmp_path / "bin").mkdir()
    aws = tmp_path / "bin/aws"
    today = subprocess.run(["date", "--utc", "+%F"], capture_output=True, text=True, check=True).stdout.strip()
    aws.write_text(
        f"#!/bin/sh\nprintf '%s\\n' '2001-01-01 10:00:00       1200 dms/old.parquet' '{today} 09:30:15        812 dms/a b  c/LOAD00000001.parquet'\n"
    )
    aws.chmod(0o755)
    run = run_step(listing, tmp_path, LANDING_URLS="s3://acme-landing/dms/", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert run["code"] == 0, run
    assert (tmp_path / "yesterday.txt").read_text() == "s3://acme-landing/dms/a b  c/LOAD00000001.parquet\n"


def _job(workflow: str, name: str) -> dict:
    return yaml.safe_load((FOLDER / workflow).read_text())["jobs"][name]


def run_step(script: str, folder: Path, **environment: str) -> dict:
    """A step's script as a runner runs it with `shell: bash`: ended by the first failure, in a pipe as well."""
    outputs = folder / "outputs"
    environment = {"PATH": "/usr/bin:/bin", "GITHUB_OUTPUT": str(outputs)} | environment
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return {"code": done.returncode, "said": done.stdout + done.stderr, "outputs": outputs.read_text() if outputs.exists() else ""}
