"""The two descriptions of the system, each as the tool that deploys it understands it, and brought to one form.

SAM's is translated by SAM's own translator, the Serverless Framework's by `osls package`. Both give plain CloudFormation, which
`cloudformation.stack` resolves for given parameters.
"""

import copy
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import cloudformation
from samtranslator.internal.schema_source.aws_serverless_function import Resource as ServerlessFunction
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "parties"))

import tools  # noqa: E402

# What has no default, since nobody but its owner knows it.
OWN = {
    "LandingBucket": "acme-landing",
    "GoogleProvider": "projects/123456789/locations/global/workloadIdentityPools/aws-pool/providers/dms2bq",
}
VARIANTS = json.loads((HERE / "variants.json").read_text())
# No account, no network, nothing told to anybody.
OFFLINE = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "SAM_CLI_TELEMETRY": "0",
    "SLS_TELEMETRY_DISABLED": "1",
    "SLS_NOTIFICATIONS_MODE": "off",
}


def environment(**more: str) -> dict[str, str]:
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | OFFLINE | {"PATH": here} | more


def sam_template() -> dict:
    return cloudformation.load((ROOT / "template.yaml").read_text())


def transformed(template: dict) -> dict:
    """A SAM template as CloudFormation gets it, by SAM's translator."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            # SAM's published schema is made from this class. It is stricter than `sam validate`, which lets a misspelt
            # property of an event pass, and the translator, which drops it.
            ServerlessFunction.parse_obj(resource)
    template = copy.deepcopy(template)
    # As `sam package` would leave it.
    template["Globals"]["Function"]["CodeUri"] = "s3://artefacts/bootstrap.zip"
    os.environ.setdefault("AWS_DEFAULT_REGION", OFFLINE["AWS_DEFAULT_REGION"])
    return Translator({}, Parser()).translate(template, {})


@functools.cache
def _sam_as_it_is() -> dict:
    return transformed(sam_template())


def sam(parameters: dict, **more: str) -> cloudformation.Stack:
    return in_one_form(cloudformation.stack(_sam_as_it_is(), **OWN | parameters | more))


def osls(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    """Runs the framework's command line, with a package that it need not build."""
    program = tools.npm("deploy", HERE / "npm") / "node_modules/.bin/osls"
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "bootstrap.zip"
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("bootstrap", "")
        return subprocess.run(
            [program, *arguments],
            cwd=folder,
            env=environment(HOME=scratch, DMS2BQ_ZIP=str(package)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )


def packaged(parameters: dict) -> tuple[dict, dict]:
    """What the framework would deploy: the template, and the parameters that it hands to CloudFormation.

    In a copy, since the framework writes beside its file, and two at once would be in each other's way.
    """
    given = [f"--param={name}={value}" for name, value in (OWN | parameters).items() if value]
    with tempfile.TemporaryDirectory() as folder:
        for file in ("serverless.yml", "template.yaml"):
            shutil.copy(ROOT / file, folder)
        done = osls("package", *given, folder=Path(folder))
        assert done.returncode == 0, done.stdout + done.stderr
        package = Path(folder) / ".serverless"
        template = json.loads((package / "cloudformation-template-update-stack.json").read_text())
        state = json.loads((package / "serverless-state.json").read_text())
    handed_over = state["service"]["provider"]["stackParameters"]
    return template, {each["ParameterKey"]: each["ParameterValue"] for each in handed_over}


def serverless(parameters: dict) -> cloudformation.Stack:
    template, handed_over = packaged(parameters)
    return in_one_form(cloudformation.stack(template, **handed_over))


# Added by the tools for themselves.
_OF_THE_TOOLS = re.compile("ServerlessDeploymentBucket.*")


def in_one_form(stack: cloudformation.Stack) -> cloudformation.Stack:
    """Without what only tells which tool was at work: where the code lies, tags, the names of event source mappings."""
    resources = {}
    for name, resource in stack.resources.items():
        properties = dict(resource["Properties"])
        if _OF_THE_TOOLS.fullmatch(name):
            continue
        if resource["Type"] == "AWS::Lambda::Function":
            properties.pop("Code")
            properties.pop("Tags", None)
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            function = re.sub(r"[<>]|\.Arn", "", properties["FunctionName"])
            name, properties["FunctionName"] = f"{function}Messages", function
        resources[name] = {"Type": resource["Type"], "Properties": _numbers(properties)}
        if not resource["Type"].startswith("AWS::Lambda::"):  # Each tool says of its own functions what they depend on.
            resources[name] |= {key: resource[key] for key in cloudformation.LIFE if key in resource}
            if isinstance(resource.get("DependsOn"), str):
                resources[name]["DependsOn"] = [resource["DependsOn"]]
    outputs = {name: value for name, value in stack.outputs.items() if not _OF_THE_TOOLS.fullmatch(name)}
    return cloudformation.Stack(stack.parameters, resources, outputs)


def _numbers(value):
    """Parameters are texts, and CloudFormation makes of them what the property wants."""
    if isinstance(value, dict):
        return {key: _numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner) for inner in value]
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        return int(value)
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def listed(value) -> list:
    """As IAM has it: one alone needs no list."""
    return value if isinstance(value, list) else [value]
