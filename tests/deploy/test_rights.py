"""deploy/rights: what the role that deploys may do is what making this stack takes, and the boundary holds what the function's role needs."""

import fnmatch
import json
import re
import subprocess

import boto3
import pytest
import systems

RIGHTS = systems.ROOT / "deploy/rights"
# What a person fills in.
HERE = {
    "ACCOUNT": "123456789012",
    "REGION": "eu-west-1",
    "STACK": "dms2bq",
    "ARTEFACT_BUCKET": "artefacts",
    "LANDING_BUCKET": "acme-landing",
    "MAPPINGS_BUCKET": "dms2bq-ownmappingsbucket-1",
}
BOUNDARY = "arn:aws:iam::123456789012:policy/dms2bq-loader-boundary"

# By type: where one of its kind is, and what CloudFormation does to it, from the reference of each type and the services' own.
NEEDED = {
    "AWS::CloudWatch::Alarm": ("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:dms2bq-X-1", "cloudwatch:PutMetricAlarm cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms"),
    "AWS::CloudWatch::Dashboard": ("arn:aws:cloudwatch::123456789012:dashboard/dms2bq", "cloudwatch:PutDashboard cloudwatch:GetDashboard cloudwatch:DeleteDashboards"),
    "AWS::Events::Rule": ("arn:aws:events:eu-west-1:123456789012:rule/dms2bq-objects", "events:PutRule events:DescribeRule events:PutTargets events:RemoveTargets events:ListTargetsByRule events:DeleteRule"),
    "AWS::IAM::Role": ("arn:aws:iam::123456789012:role/dms2bq-loader", "iam:CreateRole iam:GetRole iam:PutRolePolicy iam:GetRolePolicy iam:DeleteRolePolicy iam:ListRolePolicies iam:ListAttachedRolePolicies iam:UpdateAssumeRolePolicy iam:PutRolePermissionsBoundary iam:PassRole iam:TagRole"),
    "AWS::Lambda::EventSourceMapping": ("arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:1", "lambda:CreateEventSourceMapping lambda:GetEventSourceMapping lambda:UpdateEventSourceMapping lambda:DeleteEventSourceMapping lambda:TagResource"),
    "AWS::Lambda::Function": ("arn:aws:lambda:eu-west-1:123456789012:function:dms2bq-full-load", "lambda:CreateFunction lambda:GetFunction lambda:UpdateFunctionCode lambda:UpdateFunctionConfiguration lambda:DeleteFunction lambda:TagResource lambda:InvokeFunction"),
    "AWS::Logs::LogGroup": ("arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/dms2bq", "logs:CreateLogGroup logs:PutRetentionPolicy logs:DescribeLogGroups logs:TagResource logs:ListTagsForResource"),
    "AWS::S3::Bucket": ("arn:aws:s3:::acme-landing", "s3:CreateBucket s3:PutBucketNotification s3:PutBucketPublicAccessBlock s3:PutBucketTagging"),
    "AWS::SQS::Queue": ("arn:aws:sqs:eu-west-1:123456789012:dms2bq-dlq", "sqs:CreateQueue sqs:GetQueueAttributes sqs:SetQueueAttributes sqs:TagQueue sqs:ListQueueTags"),
    "AWS::SQS::QueuePolicy": ("arn:aws:sqs:eu-west-1:123456789012:dms2bq", "sqs:SetQueueAttributes"),
}  # fmt: skip
# Besides the stack's resources: the stack itself, and what is put into a bucket for it.
BESIDES = [
    ("cloudformation:CreateChangeSet", "arn:aws:cloudformation:eu-west-1:123456789012:stack/dms2bq/1"),
    ("cloudformation:CreateChangeSet", "arn:aws:cloudformation:eu-west-1:aws:transform/Serverless-2016-10-31"),
    ("cloudformation:ExecuteChangeSet", "arn:aws:cloudformation:eu-west-1:123456789012:stack/dms2bq/1"),
    ("cloudformation:DescribeStackResources", "arn:aws:cloudformation:eu-west-1:123456789012:stack/dms2bq/1"),
    ("cloudformation:GetTemplateSummary", "*"),
    ("s3:PutObject", "arn:aws:s3:::artefacts/v1.0.0/x"),
    ("s3:GetObject", "arn:aws:s3:::artefacts/v1.0.0/x"),
]
REFUSED = [
    ("sqs:DeleteQueue", "arn:aws:sqs:eu-west-1:123456789012:dms2bq"),
    ("sqs:PurgeQueue", "arn:aws:sqs:eu-west-1:123456789012:dms2bq"),
    ("sqs:ReceiveMessage", "arn:aws:sqs:eu-west-1:123456789012:dms2bq"),
    ("s3:DeleteBucket", "arn:aws:s3:::acme-landing"),
    ("s3:GetObject", "arn:aws:s3:::acme-landing/dms/x"),
    ("s3:PutObject", "arn:aws:s3:::acme-landing/dms/x"),
    ("cloudformation:DeleteStack", "arn:aws:cloudformation:eu-west-1:123456789012:stack/dms2bq/1"),
    ("cloudformation:ExecuteChangeSet", "arn:aws:cloudformation:eu-west-1:123456789012:stack/other/1"),
    ("lambda:UpdateFunctionCode", "arn:aws:lambda:eu-west-1:123456789012:function:other"),
    ("iam:CreateRole", "arn:aws:iam::123456789012:role/dms2bq-admin"),
    ("iam:AttachRolePolicy", "arn:aws:iam::123456789012:role/dms2bq-loader"),
    ("iam:DeleteRolePermissionsBoundary", "arn:aws:iam::123456789012:role/dms2bq-loader"),
    ("iam:CreatePolicyVersion", BOUNDARY),
    ("iam:CreateUser", "arn:aws:iam::123456789012:user/x"),
]


def policy(name: str, **here: str) -> list[dict]:
    text = re.sub(r"\b(?:[A-Z]+_BUCKET|ACCOUNT|REGION|STACK)(?![A-Za-z_])", lambda found: (HERE | here)[found[0]], (RIGHTS / name).read_text())
    return json.loads(text)["Statement"]


def allowing(statements: list[dict], action: str, resource: str) -> list[dict]:
    return [
        each
        for each in statements
        if action in systems.listed(each["Action"]) and any(fnmatch.fnmatchcase(resource, one) for one in systems.listed(each["Resource"]))
    ]


def test_every_type_of_the_stack_has_its_rights():
    types = {resource["Type"] for variant in systems.VARIANTS.values() for resource in systems.sam(variant).resources.values()}
    assert types == NEEDED.keys()
    deployer = policy("deployer.json")
    for resource, actions in NEEDED.values():
        for action in actions.split():
            assert allowing(deployer, action, resource), f"{action} on {resource}"


@pytest.mark.parametrize("action, resource", BESIDES)
def test_the_stack_can_be_updated_from_its_bucket(action, resource):
    assert allowing(policy("deployer.json"), action, resource)


@pytest.mark.parametrize("action, resource", REFUSED)
def test_who_deploys_can_neither_delete_what_holds_messages_nor_read_files_nor_raise_its_rights(action, resource):
    assert not allowing(policy("deployer.json"), action, resource)


def test_every_queue_function_rule_and_role_of_the_stack_is_within_reach():
    deployer = policy("deployer.json")
    for variant in systems.VARIANTS.values():
        stack = systems.sam(variant)
        for queue in stack.of_type("AWS::SQS::Queue").values():
            assert allowing(deployer, "sqs:CreateQueue", f"arn:aws:sqs:eu-west-1:123456789012:{queue['QueueName']}")
        for function in stack.of_type("AWS::Lambda::Function").values():
            assert allowing(deployer, "lambda:CreateFunction", f"arn:aws:lambda:eu-west-1:123456789012:function:{function['FunctionName']}")
        for rule in stack.of_type("AWS::Events::Rule").values():
            assert allowing(deployer, "events:PutRule", f"arn:aws:events:eu-west-1:123456789012:rule/{rule['Name']}")
        for role in stack.of_type("AWS::IAM::Role").values():
            assert allowing(deployer, "iam:PassRole", f"arn:aws:iam::123456789012:role/{role['RoleName']}")


def test_the_role_that_it_makes_is_bounded_and_for_lambda_alone():
    deployer = policy("deployer.json")
    role = "arn:aws:iam::123456789012:role/dms2bq-loader"
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary"):
        conditions = [each.get("Condition") for each in allowing(deployer, action, role)]
        assert conditions == [{"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}]
    [passed] = allowing(deployer, "iam:PassRole", role)
    assert passed["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}


def test_the_template_puts_the_role_within_the_boundary_that_is_given():
    [bounded] = systems.sam({"RoleBoundaryArn": BOUNDARY}).of_type("AWS::IAM::Role").values()
    assert bounded["PermissionsBoundary"] == BOUNDARY
    [free] = systems.sam({}).of_type("AWS::IAM::Role").values()
    assert "PermissionsBoundary" not in free


@pytest.mark.parametrize("variant", systems.VARIANTS)
def test_the_boundary_takes_nothing_away_that_the_function_needs(variant):
    stack = systems.sam(systems.VARIANTS[variant])
    boundary = policy("loader-boundary.json", MAPPINGS_BUCKET=stack.parameters["MappingsBucket"] or HERE["MAPPINGS_BUCKET"])
    made = {"<LogGroup.Arn>": "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/dms2bq:*"}
    [role] = stack.of_type("AWS::IAM::Role").values()
    for statement in role["Policies"][0]["PolicyDocument"]["Statement"]:
        for action in systems.listed(statement["Action"]):
            for resource in systems.listed(statement["Resource"]):
                resource = made.get(resource, resource).replace("<OwnMappingsBucket>", HERE["MAPPINGS_BUCKET"])
                assert allowing(boundary, action, resource), f"{action} on {resource}"


@pytest.mark.parametrize("name", ["deployer.json", "loader-boundary.json"])
def test_the_page_s_command_fills_in_all_that_a_person_has_to(name):
    page = (systems.ROOT / "docs/deploying.md").read_text()
    [command] = re.findall(r"^ *sed ((?:-e \S+ |\\\n *)+)deploy/rights", page, re.M)
    filled = subprocess.run(["sed", *command.replace("\\\n", "").split(), RIGHTS / name], capture_output=True, text=True, check=True).stdout
    assert not re.search("|".join(HERE), filled)
    given = {"ARTEFACT_BUCKET": "acme-artefacts", "MAPPINGS_BUCKET": "dms2bq-ownmappingsbucket-…"}
    assert json.loads(filled)["Statement"] == policy(name, **given)


@pytest.mark.parametrize("name", ["deployer.json", "loader-boundary.json"])
def test_a_policy_is_one_that_iam_takes(name):
    text = json.dumps(policy(name), separators=(",", ":"))
    # A managed policy's limit, spaces not counted: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(text) < 6_000
    for statement in policy(name):
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"} and statement["Sid"].isalnum()
        for action in systems.listed(statement["Action"]):
            service, operation = action.split(":")
            # The names of S3's rights, and of these two, are not those of calls.
            if service != "s3" and action not in ("iam:PassRole", "lambda:InvokeFunction"):
                client = boto3.client(service, region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
                assert operation in client.meta.service_model.operation_names, action
