import re
import subprocess

import celpy
import celpy.celtypes
import pytest

ROLE = "arn:aws:sts::123456789012:assumed-role/dms2bq-loader"


def test_terraform_and_the_commands_grant_the_same_roles_and_no_other(terraform, resources, commands):
    text = "\n".join(commands)
    by_commands = set(re.findall(r"roles/[a-z]+\.[A-Za-z]+", text))
    granted = [body["role"] for (kind, _), body in resources.items() if kind.endswith("_iam_member")]
    by_terraform = {role for role in granted if role.startswith("roles/")}
    assert by_commands == by_terraform == {
        "roles/iam.workloadIdentityUser", "roles/bigquery.dataEditor", "roles/bigquery.jobUser",
    }
    # The custom role is the only other grant, and holds one permission.
    assert len(granted) - len(by_terraform) == 1
    role = resources["google_project_iam_custom_role", "job_reader"]
    assert role["permissions"] == ["bigquery.jobs.get"]
    assert re.findall(r"--permissions=(\S+)", text) == ["bigquery.jobs.get"]
    [variable] = [block["job_reader_role_id"] for block in terraform["variable"] if "job_reader_role_id" in block]
    assert f"roles create {variable['default']} " in text


def test_each_role_is_granted_where_it_belongs_and_nothing_for_a_whole_organisation(resources):
    where = {body["role"]: kind for (kind, _), body in resources.items() if kind.endswith("_iam_member")}
    assert where["roles/bigquery.dataEditor"] == "google_bigquery_dataset_iam_member"
    assert where["roles/iam.workloadIdentityUser"] == "google_service_account_iam_member"
    assert where["roles/bigquery.jobUser"] == "google_project_iam_member"
    kinds = {kind for kind, _ in resources}
    # A binding or a policy would take other people's grants away.
    assert not [kind for kind in kinds if kind.endswith(("_iam_binding", "_iam_policy"))]
    assert not [kind for kind in kinds if "organization" in kind or "folder" in kind or kind.endswith("_key")]


def test_terraform_and_the_commands_enable_the_same_apis(resources, commands):
    enabled = re.search(r"gcloud services enable ([a-z. ]+) --project", "\n".join(commands)).group(1).split()
    listed = re.findall(r"[a-z]+\.googleapis\.com", resources["google_project_service", "needed"]["for_each"])
    assert sorted(enabled) == sorted(listed)
    looked_for = re.search(r"config\.name~\^\(([a-z|]+)\)", "\n".join(commands)).group(1).split("|")
    assert sorted(f"{name}.googleapis.com" for name in looked_for) == sorted(enabled)


# What Google's API each kind of block is made by, and the function at work calls.
BY_API = {
    "google_bigquery_": "bigquery",
    "google_project_iam_custom_role": "iam",
    "google_project_iam_member": "cloudresourcemanager",
    "google_service_account": "iam",
    "google_iam_": "iam",
}


def test_every_api_that_terraform_calls_is_switched_on_before_it_is_called(terraform, resources):
    listed = re.findall(r"([a-z]+)\.googleapis\.com", resources["google_project_service", "needed"]["for_each"])
    called = {"sts", "iamcredentials"}
    for kind, _ in resources:
        if kind != "google_project_service":
            called.add(next(api for begin, api in BY_API.items() if kind.startswith(begin)))
    [project] = [named["this"] for block in terraform["data"] for kind, named in block.items() if kind == "google_project"]
    called.add("cloudresourcemanager")
    assert set(listed) == called
    assert "google_project_service.needed" in str(project["depends_on"])


def test_the_outputs_are_the_templates_parameters(terraform, commands):
    outputs = [name for block in terraform["output"] for name in block]
    assert outputs == ["GoogleProvider", "GoogleServiceAccount"]
    assert re.findall(r'^echo "(\w+)=', commands[-1], re.M) == outputs


def test_every_variable_says_what_it_is_and_is_held_to_it(terraform):
    variables = {name: body for block in terraform["variable"] for name, body in block.items()}
    assert len(variables) == 8
    for name, body in variables.items():
        assert len(body["description"]) > 30, name
        [rule] = body["validation"]
        assert rule["condition"] and len(rule["error_message"]) > 20, name


def test_the_defaults_of_terraform_and_of_the_commands_are_the_same(terraform, commands):
    defaults = {name: body.get("default") for block in terraform["variable"] for name, body in block.items()}
    set_by_commands = dict(re.findall(r"^([A-Z]+)=([a-z0-9-]+)$", commands[0], re.M))
    assert set_by_commands["POOL"] == defaults["pool_id"]
    assert set_by_commands["PROVIDER"] == defaults["provider_id"]
    assert set_by_commands["ACCOUNT"] == defaults["service_account_id"]


def test_the_commands_are_shell_and_each_step_ends_with_a_look(commands, section):
    for command in commands:
        subprocess.run(["bash", "-n"], input=command, text=True, check=True)
    steps = re.findall(r"^\d\. \*\*", section, re.M)
    assert len(steps) == 8
    # The first block sets the names; the last step prints what the others made.
    looks = [command for command in commands if re.search(r"\b(describe|list|get-iam-policy|show)\b", command)]
    assert len(looks) >= 7


# ---- the condition and the mapping, by an interpreter of Google's language ----

def extract(text, template):
    """Google's own addition to CEL: what stands where the template has braces, or nothing.
    https://cloud.google.com/iam/docs/conditions-attribute-reference#extract"""
    before, _, after = re.split(r"(\{\w+\})", str(template))
    start = str(text).find(before)
    if start < 0:
        return celpy.celtypes.StringType("")
    rest = str(text)[start + len(before):]
    end = rest.find(after) if after else len(rest)
    return celpy.celtypes.StringType(rest[:end] if end >= 0 else "")


def evaluate(expression, activation):
    environment = celpy.Environment()
    program = environment.program(environment.compile(expression), functions={"extract": extract})
    return program.evaluate(celpy.json_to_cel(activation))


def signed_in(mapping, condition, arn):
    """What Google makes of a caller: subject and whether it is let in."""
    assertion = {"assertion": {"arn": arn}}
    subject = str(evaluate(mapping["google.subject"], assertion))
    role = str(evaluate(mapping["attribute.aws_role"], assertion))
    return subject, role, bool(evaluate(condition, {"attribute": {"aws_role": role}}))


@pytest.fixture(params=["terraform", "commands"])
def provider(request, resources, commands):
    """Mapping and condition, as each of the two ways says them."""
    if request.param == "terraform":
        body = resources["google_iam_workload_identity_pool_provider", "aws"]
        assert body["attribute_condition"].startswith("attribute.aws_role in [${join(")
        return body["attribute_mapping"], f"attribute.aws_role in ['{ROLE}']"
    [create] = [command for command in commands if "providers create-aws" in command]
    mapping = re.search(r'--attribute-mapping="(.+)"', create).group(1)
    pairs = (pair.split("=", 1) for pair in mapping.split(","))
    condition = re.search(r'--attribute-condition="(.+)"', create).group(1)
    return dict(pairs), condition.replace("$ROLE_ARN", ROLE)


@pytest.mark.parametrize("arn, admitted", [
    (f"{ROLE}/dms2bq-function", True),
    (f"{ROLE}/a-container-s-session", True),
    ("arn:aws:sts::123456789012:assumed-role/dms2bq-loader-2/x", False),
    ("arn:aws:sts::123456789012:assumed-role/other/dms2bq-loader", False),
    ("arn:aws:sts::210987654321:assumed-role/dms2bq-loader/x", False),
    ("arn:aws:iam::123456789012:user/dms2bq-loader", False),
    ("arn:aws:iam::123456789012:root", False),
])
def test_the_role_is_let_in_and_nobody_else(provider, arn, admitted):
    mapping, condition = provider
    subject, role, is_admitted = signed_in(mapping, condition, arn)
    assert is_admitted == admitted
    if admitted:
        assert (subject, role) == ("dms2bq-loader", ROLE)


def test_the_longest_names_of_aws_still_make_a_subject_that_google_takes(provider):
    mapping, condition = provider
    arn = f"arn:aws:sts::123456789012:assumed-role/{'r' * 64}/{'f' * 64}"
    assert len(arn) > 127, "the whole ARN would be refused"
    subject, _, _ = signed_in(mapping, condition, arn)
    assert len(subject) <= 127


def test_both_ways_map_alike(resources, commands):
    body = resources["google_iam_workload_identity_pool_provider", "aws"]["attribute_mapping"]
    text = "\n".join(commands)
    for name, expression in body.items():
        assert f"{name}={expression}" in text
