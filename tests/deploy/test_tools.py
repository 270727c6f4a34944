"""The tools that people deploy with have nothing to say against the templates, and would have, were something wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import systems

BIN = Path(sys.executable).parent
# Of what the framework makes, some is for its own use: parameters that it has put into the functions already, and dependencies
# that it names twice. W1033 is the one that template.yaml switches off, with its reason.
OF_THE_FRAMEWORK = ["W1033", "W2001", "W3005"]


def run(program: str, *arguments, folder=systems.ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BIN / program, *arguments], cwd=folder, env=systems.environment(), capture_output=True, text=True, timeout=120
    )


def test_sam_finds_the_template_valid():
    done = run("sam", "validate", "--lint", "--template-file", "template.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout


@pytest.mark.parametrize("variant", ["as it comes", "two lanes"])
def test_cfn_lint_has_nothing_against_what_the_framework_would_deploy(variant, tmp_path):
    template, _ = systems.packaged(systems.VARIANTS[variant])
    (tmp_path / "template.json").write_text(json.dumps(template))
    ignored = [argument for code in OF_THE_FRAMEWORK for argument in ("--ignore-checks", code)]
    done = run("cfn-lint", "--template", "template.json", *ignored, folder=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "right, wrong, says",
    [
        ("VisibilityTimeout: !FindInMap [Timing, !Ref FunctionTimeout", "VisibilityTimeOut: !FindInMap [Timing, !Ref FunctionTimeout", "E3002"),
        ("Principal: { Service: lambda.amazonaws.com }", "Principle: { Service: lambda.amazonaws.com }", "E3530"),
        ("Condition: OneLaneByEventBridge", "Condition: OneLaneByBridge", "E3015"),
    ],
)
def test_sams_linter_notices_a_mistake(right, wrong, says, tmp_path):
    text = (systems.ROOT / "template.yaml").read_text()
    assert right in text
    (tmp_path / "template.yaml").write_text(text.replace(right, wrong))
    done = run("sam", "validate", "--lint", "--template-file", tmp_path / "template.yaml", folder=tmp_path)
    assert done.returncode != 0
    assert says in done.stdout + done.stderr, done.stdout + done.stderr
