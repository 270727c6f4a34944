"""What must hold of template.yaml, at the bounds of its parameters as well, and that these checks can fail."""

import copy
import json
import re
from pathlib import Path

import alarms
import cloudformation
import holds
import pytest
import systems

HERE = Path(__file__).parent
MUTATIONS = json.loads((HERE / "mutations.json").read_text())
REFUSED = json.loads((HERE / "refused.json").read_text())


@pytest.mark.parametrize("variant", systems.VARIANTS)
def test_what_must_hold_holds(variant):
    assert holds.problems(systems.sam(systems.VARIANTS[variant])) == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation["what"])
def test_a_mistake_is_noticed(mutation):
    template = systems.sam_template()
    mutate(template, mutation)
    parameters = systems.VARIANTS[mutation.get("variant", "as it comes")]
    try:
        stack = cloudformation.stack(systems.transformed(template), **systems.OWN, **parameters)
        noticed = holds.problems(systems.in_one_form(stack))
    except ValueError as error:  # SAM's own schema raises this.
        noticed = [repr(error)]
    assert any(mutation["noticed_by"] in problem for problem in noticed), noticed


def mutate(template: dict, mutation: dict) -> None:
    [(verb, path)] = [(verb, mutation[verb]) for verb in ("set", "rename", "remove") if verb in mutation]
    *way, last = path
    place = template
    for step in way:
        place = place[step]
    before = copy.deepcopy(place.get(last) if isinstance(place, dict) else place[last])
    if verb == "set":
        place[last] = mutation["to"]
        assert place[last] != before, "this changes nothing"
    else:
        taken = place.pop(last)
        if verb == "rename":
            place[mutation["to"]] = taken


def test_every_check_has_a_mistake_that_it_notices():
    noticed = {mutation["noticed_by"] for mutation in MUTATIONS}
    assert {check.__name__ for check in holds.CHECKS} <= noticed


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: json.dumps(case["given"]))
def test_a_parameter_out_of_bounds_is_refused_with_its_remedy(case):
    with pytest.raises(cloudformation.BadParameter) as refused:
        cloudformation.parameter_values(systems.sam_template(), systems.OWN | case["given"])
    assert case["says"] in str(refused.value)


@pytest.mark.parametrize(
    "account, taken",
    [
        ("dms2bq@acme-dw.iam.gserviceaccount.com", True),
        ("dms2bq@dw.acme.com.iam.gserviceaccount.com", True),
        ("123456789012-compute@developer.gserviceaccount.com", True),
        ("acme-dw@appspot.gserviceaccount.com", True),
        ("dms2bq@acme.com:dw.iam.gserviceaccount.com", False),
        ("dms2bq@iam.gserviceaccount.com.example.com", False),
        ("a@b@acme-dw.iam.gserviceaccount.com", False),
        ("@acme-dw.iam.gserviceaccount.com", False),
    ],
)
def test_a_service_account_is_one_that_the_program_takes(account, taken):
    given = systems.OWN | {"GoogleServiceAccount": account}
    try:
        cloudformation.parameter_values(systems.sam_template(), given)
        assert taken
    except cloudformation.BadParameter:
        assert not taken
    # `ServiceAccount::parse`, which the program holds it to: whoever changes that, changes the pattern, too.
    program = (systems.ROOT / "src/cloud/google/federation.rs").read_text()
    assert 'is_ascii_alphanumeric() || b"-._".contains(&byte)' in program
    assert 'host.ends_with(".gserviceaccount.com")' in program


def test_what_nobody_else_knows_has_to_be_given():
    for name in systems.OWN:
        with pytest.raises(cloudformation.BadParameter, match=name):
            cloudformation.parameter_values(systems.sam_template(), {key: systems.OWN[key] for key in systems.OWN if key != name})


def parameters():
    return systems.sam_template()["Parameters"].items()


@pytest.mark.parametrize("name, declared", parameters(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_parameter_is_described_bounded_and_has_a_default(name, declared):
    assert len(declared["Description"]) > 20
    assert ("Default" in declared) != (name in systems.OWN)
    assert "AllowedValues" in declared or "AllowedPattern" in declared or {"MinValue", "MaxValue"} <= declared.keys()
    # What CloudFormation says of a value out of bounds, instead of the pattern.
    assert re.match(r"Give|Choose|Say", declared["ConstraintDescription"])


def test_every_parameter_has_a_place_in_the_consoles_form():
    groups = systems.sam_template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    placed = [name for group in groups for name in group["Parameters"]]
    assert sorted(placed) == sorted(name for name, _ in parameters())


def test_names_fit_for_the_longest_name_that_the_page_allows(monkeypatch):
    assert "keep that below 50 characters" in (systems.ROOT / "docs/deploying.md").read_text()
    monkeypatch.setitem(cloudformation.PSEUDO, "AWS::StackName", "s" * 49)
    stack = systems.sam(systems.VARIANTS["two lanes"])
    longest = {"AWS::IAM::Role": ("RoleName", 64), "AWS::Events::Rule": ("Name", 64), "AWS::Lambda::Function": ("FunctionName", 64), "AWS::SQS::Queue": ("QueueName", 80)}
    for kind, (name, most) in longest.items():
        for properties in stack.of_type(kind).values():
            assert len(properties[name]) <= most


def test_visibility_is_said_for_every_timeout_that_can_be_chosen():
    template = systems.sam_template()
    chosen = {str(secs) for name in ("FunctionTimeout", "FullLoadTimeout") for secs in template["Parameters"][name]["AllowedValues"]}
    assert chosen == template["Mappings"]["Timing"].keys()
    window = template["Parameters"]["BatchingWindow"]["MaxValue"]
    for timeout, row in template["Mappings"]["Timing"].items():
        assert row["VisibilitySeconds"] >= 6 * int(timeout) + window


def test_buckets_stay_when_the_stack_goes():
    for resource in systems.sam_template()["Resources"].values():
        if resource["Type"] == "AWS::S3::Bucket":
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_page_on_costs_counts_the_alarms_and_what_they_look_at():
    counts = []
    for variant in ("as it comes", "two lanes"):
        made = systems.sam(systems.VARIANTS[variant]).of_type("AWS::CloudWatch::Alarm").values()
        counts += [len(made), sum(len(alarms.looked_at(alarm)) for alarm in made)]
    said = "{}, which look at {} metrics; with two lanes {}, which look at {} |".format(*counts)
    assert said in (systems.ROOT / "docs/deploying.md").read_text()


def test_cloudformation_takes_the_template_as_it_is_sent():
    # From S3, where the SAM CLI puts it. Each output is one line that can be copied.
    assert len(json.dumps(systems.transformed(systems.sam_template()))) < 1_000_000
    for variant in systems.VARIANTS.values():
        for value in systems.sam(variant).outputs.values():
            assert "\n" not in str(value) and len(str(value)) <= 1024


def test_every_outcome_and_metric_of_the_dashboard_is_laid_out_without_overlap():
    for variant in ("as it comes", "two lanes"):
        taken = set()
        for widget in alarms.dashboard(systems.sam(systems.VARIANTS[variant]))["widgets"]:
            cells = {(x, y) for x in range(widget["x"], widget["x"] + widget["width"]) for y in range(widget["y"], widget["y"] + widget["height"])}
            assert not cells & taken and max(x for x, _ in cells) < 24
            taken |= cells
