"""The workflows pass actionlint, and what it does not look at: pins, rights, and who runs whose code with which of them."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cloudformation
import pytest
import systems
import yaml
from samcli.cli.types import CfnParameterOverridesType

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
        # Without an environment, whose rules say who may run it, it runs what is merged already, and never what is proposed.
        merged = "${{ github.event.pull_request.base.sha || github.sha }}"
        assert "environment" in job or all(step["with"]["ref"] == merged for step in steps(job, "actions/checkout"))
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


def step(workflow: str, job: str, name: str) -> str:
    [script] = [step["run"] for step in _job(workflow, job)["steps"] if step.get("name") == name]
    return script


def stand_in(folder: Path, program: str, script: str) -> str:
    """Puts a program before the others, and gives the PATH for it."""
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / program
    path.write_text(f"#!/usr/bin/env bash\n{script}")
    path.chmod(0o755)
    return f"{folder / 'bin'}:/usr/bin:/bin"


@pytest.mark.parametrize("code, said", [(0, "s3://acme-landing/dms/: 1 files"), (1, "cannot be listed")])
def test_a_listing_goes_to_one_file_and_what_was_done_to_another(code, said, tmp_path):
    script = step("mappings.yml", "listing", "List yesterday's files")
    # It has tests of its own, in test_listing.py.
    path = stand_in(tmp_path, "python3", f"printf '%s\\n' \"$@\"; echo '{said}' >&2; exit {code}")
    run = run_step(script, tmp_path, LANDING_URLS="s3://acme-landing/dms/ s3://acme-landing/new/", PATH=path)
    assert run["code"] == code and said in run["said"]
    assert (tmp_path / "yesterday.txt").read_text() == "deploy/list_recent.py\ns3://acme-landing/dms/\ns3://acme-landing/new/\n"
    assert said in (tmp_path / "listed.txt").read_text()


@pytest.mark.parametrize(
    "listing, says", [("success", "s3://acme-landing/dms/: 1 files"), ("failure", "job *listing* failed"), ("skipped", "names no LANDING_URLS")]
)
def test_what_changes_is_shown_without_a_listing_too_and_says_so(listing, says, tmp_path):
    script = step("mappings.yml", "check", "Show what changes")
    path = stand_in(tmp_path, "git", "exit 0")
    (tmp_path / "dms2bq").write_text("#!/bin/sh\necho \"diff $*\"")
    (tmp_path / "dms2bq").chmod(0o755)
    if listing == "success":
        (tmp_path / "yesterday.txt").write_text("s3://acme-landing/dms/x\n")
        (tmp_path / "listed.txt").write_text(f"{says}\n")
    summary = tmp_path / "summary"
    run = run_step(script, tmp_path, LISTING=listing, BEFORE="1", RUNNER_TEMP=str(tmp_path), GITHUB_STEP_SUMMARY=str(summary), PATH=path)
    assert run["code"] == 0, run
    assert says in summary.read_text()
    assert ("--keys yesterday.txt" in summary.read_text()) == (listing == "success")


def test_a_change_of_mappings_waits_for_no_listing():
    assert _job("mappings.yml", "check")["if"] == "${{ !cancelled() }}"
    assert "listing" not in _job("mappings.yml", "publish")["needs"]


def test_going_back_waits_for_no_test_and_one_deployment_follows_the_other():
    release = yaml.safe_load((FOLDER / "release.yml").read_text())
    assert "concurrency" not in release
    grouped = {name: job["concurrency"] for name, job in release["jobs"].items() if "concurrency" in job}
    assert grouped == {"deploy": {"group": "deploy", "cancel-in-progress": False}}


HEALTHY = """INIT_START Runtime Version: provided:al2023
{"timestamp":"2026-11-21T00:00:00Z","level":"INFO","mappings":"6f77c38b8f5fbb88","message":"mappings in force","target":"dms2bq"}
START RequestId: 1 Version: $LATEST
END RequestId: 1
REPORT RequestId: 1 Duration: 1.00 ms
"""
UNUSABLE = '{"timestamp":"2026-11-21T00:00:00Z","level":"ERROR","code":"mapping.unusable","message":"no mappings yet","target":"dms2bq"}\n'
STARTS = [
    ("all is well", {"dms2bq": (HEALTHY, {})}, None),
    ("two lanes", {"dms2bq": (HEALTHY, {}), "dms2bq-full-load": (HEALTHY, {})}, None),
    ("an error", {"dms2bq": ("", {"FunctionError": "Unhandled"})}, "dms2bq does not start"),
    ("no mappings", {"dms2bq": (UNUSABLE + HEALTHY, {})}, "dms2bq starts, and nothing can load"),
    ("the other lane", {"dms2bq": (HEALTHY, {}), "dms2bq-full-load": (UNUSABLE, {})}, "dms2bq-full-load starts, and nothing can load"),
    ("a problem so long that its beginning is cut off", {"dms2bq": ("x" * 4_096, {})}, "more to say than it should"),
    ("no function", {}, "has no function"),
]


@pytest.mark.parametrize("functions, refused", [pytest.param(*case[1:], id=case[0]) for case in STARTS])
def test_a_deployment_is_green_only_if_every_function_has_its_mappings(functions, refused, tmp_path):
    for name, (log, more) in functions.items():
        said = {"StatusCode": 200, "LogResult": base64.b64encode(log.encode()).decode()} | more
        (tmp_path / f"{name}.said").write_text(json.dumps(said))
    path = stand_in(
        tmp_path,
        "aws",
        f"""case $1 in
cloudformation) echo '{" ".join(functions)}' ;;
lambda)
    [[ $* == *--log-type\\ Tail* ]] || exit 2
    while [[ $1 != --function-name ]]; do shift; done
    cat "$2.said"
    echo '{{"batchItemFailures":[]}}' > "${{@: -1}}" ;;
esac
""",
    )
    summary = tmp_path / "summary"
    run = run_step(step("release.yml", "deploy", "See that it starts"), tmp_path, STACK_NAME="dms2bq", TAG="v1.0.0", GITHUB_STEP_SUMMARY=str(summary), PATH=path)
    if refused:
        assert run["code"] == 1 and refused in run["said"], run
        assert not summary.exists()
    else:
        assert run["code"] == 0 and "Deployed v1.0.0" in summary.read_text(), run


# ---- going back: deploy/parameters.py ----


def named(*pairs: str) -> subprocess.CompletedProcess:
    command = [sys.executable, systems.ROOT / "deploy/parameters.py", systems.ROOT / "template.yaml", *pairs]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


OWN = [f"{name}={value}" for name, value in systems.OWN.items()]


def test_a_deployment_names_every_parameter_so_that_none_is_kept_from_a_later_one(tmp_path):
    done = named(*OWN, "LandingFolders=dms/a,dms/b", "MemorySize=1024")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "parameters.yaml"
    file.write_text(done.stdout)
    # As SAM reads it.
    taken = CfnParameterOverridesType().convert((f"file://{file}",), None, None)
    template = systems.sam_template()
    defaults = {name: str(about["Default"]) for name, about in template["Parameters"].items() if "Default" in about}
    assert taken == defaults | systems.OWN | {"LandingFolders": "dms/a,dms/b", "MemorySize": "1024"}
    assert taken.keys() == template["Parameters"].keys()
    cloudformation.parameter_values(template, taken)


@pytest.mark.parametrize(
    "pairs, says", [([*OWN, "TwoLane=yes"], "has no parameter TwoLane"), (OWN[:1], "no value is given for GoogleProvider")]
)
def test_a_deployment_with_other_parameters_than_the_templates_is_refused(pairs, says):
    done = named(*pairs)
    assert done.returncode == 1 and says in done.stderr and done.stdout == ""


def _job(workflow: str, name: str) -> dict:
    return yaml.safe_load((FOLDER / workflow).read_text())["jobs"][name]


def run_step(script: str, folder: Path, **environment: str) -> dict:
    """A step's script as a runner runs it with `shell: bash`: ended by the first failure, in a pipe as well."""
    outputs = folder / "outputs"
    environment = {"PATH": "/usr/bin:/bin", "GITHUB_OUTPUT": str(outputs)} | environment
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return {"code": done.returncode, "said": done.stdout + done.stderr, "outputs": outputs.read_text() if outputs.exists() else ""}
