"""serverless.yml, as `osls package` understands it, is the system of template.yaml, as SAM's translator understands that."""

import re

import cloudformation
import holds
import pytest
import systems
import yaml


@pytest.mark.parametrize("variant", systems.VARIANTS)
def test_both_descriptions_are_one_system(variant):
    parameters = systems.VARIANTS[variant]
    sam, serverless = systems.sam(parameters), systems.serverless(parameters)
    assert serverless.parameters == sam.parameters
    assert sorted(serverless.resources) == sorted(sam.resources)
    for name, resource in sam.resources.items():
        assert (name, serverless.resources[name]) == (name, resource)
    assert serverless.outputs == sam.outputs
    assert holds.problems(serverless) == []


def test_every_parameter_of_the_template_can_be_given():
    declared = systems.sam_template()["Parameters"]
    _, handed_over = systems.packaged({})
    assert handed_over.keys() == declared.keys()
    text = (systems.ROOT / "serverless.yml").read_text()
    for name in declared:
        if name not in systems.OWN:
            assert f"{name}: ${{file(template.yaml):Parameters.{name}.Default}}" in text


@pytest.mark.parametrize(
    "misspelt",
    [
        ("functionResponseType: ReportBatchItemFailures", "functionResponseTypes: ReportBatchItemFailures"),
        ("maximumConcurrency: ${param:MaximumConcurrency}", "maximumConcurency: ${param:MaximumConcurrency}"),
        ("disableLogs: true", "disableLog: true"),
    ],
)
def test_the_framework_refuses_a_misspelt_property(misspelt, tmp_path):
    right, wrong = misspelt
    text = (systems.ROOT / "serverless.yml").read_text()
    assert right in text
    (tmp_path / "serverless.yml").write_text(text.replace(right, wrong))
    (tmp_path / "template.yaml").write_text((systems.ROOT / "template.yaml").read_text())
    given = [f"--param={name}={value}" for name, value in systems.OWN.items()]
    done = systems.osls("package", *given, folder=tmp_path)
    assert done.returncode != 0
    assert re.search("unrecognized property|must be equal", done.stdout + done.stderr), done.stdout + done.stderr


def test_what_the_framework_is_told_is_yaml_without_tabs():
    text = (systems.ROOT / "serverless.yml").read_text()
    assert "\t" not in text and yaml.compose(text) is not None


@pytest.mark.parametrize("name", systems.OWN)
def test_what_has_no_default_is_asked_for(name):
    template, handed_over = systems.packaged({name: ""})
    with pytest.raises(cloudformation.BadParameter, match=f"'{name}' must meet: Give the"):
        cloudformation.stack(template, **handed_over)
