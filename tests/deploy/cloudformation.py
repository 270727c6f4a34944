"""Works out what CloudFormation would make of a template with given parameters: conditions, rules, functions, bounds.

Only what our templates use. What a stack is told on its creation (ARNs, generated names) is a readable stand-in, such as
`<Queue.Arn>`, which is enough to compare and to reason about.
"""

import copy
import re
from dataclasses import dataclass

import yaml

PSEUDO = {
    "AWS::StackName": "dms2bq",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
}
NO_VALUE = object()
# What a resource says of how it comes and goes.
LIFE = ("DependsOn", "DeletionPolicy", "UpdateReplacePolicy")


class BadParameter(Exception):
    """A value out of a parameter's bounds, or two that a rule excludes. Its text is what CloudFormation would say."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, `!Ref x` for `{"Ref": "x"}`."""


def _short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def load(text: str) -> dict:
    return yaml.load(text, _Loader)


def parameter_values(template: dict, given: dict) -> dict:
    """The parameters' values as CloudFormation takes them: defaults filled in, bounds kept, rules asked."""
    declared = template.get("Parameters", {})
    for name in given:
        if name not in declared:
            raise BadParameter(f"Parameters: [{name}] do not exist in the template")
    values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise BadParameter(f"Parameters: [{name}] must have values")
        values[name] = _held_to_bounds(name, declaration, str(value))
    for name, rule in template.get("Rules", {}).items():
        _ask(name, rule, values)
    return values


def _held_to_bounds(name: str, declaration: dict, value: str):
    is_list = declaration["Type"] == "CommaDelimitedList"
    for part in value.split(",") if is_list else [value]:
        if not _is_within(declaration, part):
            said = declaration.get("ConstraintDescription", "")
            raise BadParameter(f"Parameter '{name}' must meet: {said}")
    return value.split(",") if is_list else value


def _is_within(declaration: dict, value: str) -> bool:
    if "AllowedValues" in declaration and value not in map(str, declaration["AllowedValues"]):
        return False
    if declaration["Type"] == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            return False
        return declaration.get("MinValue", float(value)) <= float(value) <= declaration.get("MaxValue", float(value))
    if "AllowedPattern" in declaration and not re.fullmatch(declaration["AllowedPattern"], value):
        return False
    return declaration.get("MinLength", 0) <= len(value) <= declaration.get("MaxLength", len(value))


def _ask(name: str, rule: dict, values: dict) -> None:
    resolve = _Resolver({}, values).value
    if "RuleCondition" in rule and not resolve(rule["RuleCondition"]):
        return
    for assertion in rule["Assertions"]:
        if not resolve(assertion["Assert"]):
            raise BadParameter(f"Rule {name}: {assertion['AssertDescription']}")


@dataclass
class Stack:
    """What a template comes to with one set of parameters."""

    parameters: dict
    resources: dict
    outputs: dict

    def of_type(self, kind: str) -> dict:
        return {name: found["Properties"] for name, found in self.resources.items() if found["Type"] == kind}


def stack(template: dict, **given) -> Stack:
    values = parameter_values(template, given)
    resolver = _Resolver(template, values)
    resources, outputs = {}, {}
    for name, resource in template["Resources"].items():
        if resolver.holds(resource.get("Condition")):
            attributes = {key: resource[key] for key in LIFE if key in resource}
            resources[name] = attributes | {"Type": resource["Type"], "Properties": resolver.value(resource.get("Properties", {}))}
    for name, output in template.get("Outputs", {}).items():
        if resolver.holds(output.get("Condition")):
            outputs[name] = resolver.value(output["Value"])
    return Stack(values, copy.deepcopy(resources), outputs)


class _Resolver:
    def __init__(self, template: dict, values: dict):
        self.template, self.values = template, values

    def holds(self, condition: str | None) -> bool:
        return condition is None or self.value(self.template["Conditions"][condition])

    def value(self, given):
        if isinstance(given, list):
            return [value for value in map(self.value, given) if value is not NO_VALUE]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            [(name, argument)] = given.items()
            if name.startswith("Fn::") or name == "Ref" or (name == "Condition" and isinstance(argument, str)):
                return getattr(self, "_" + name.removeprefix("Fn::").lower())(argument)
        resolved = {key: self.value(value) for key, value in given.items()}
        return {key: value for key, value in resolved.items() if value is not NO_VALUE}

    def _ref(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        return self.values[name] if name in self.values else PSEUDO.get(name, f"<{name}>")

    def _getatt(self, argument):
        name, attribute = argument
        resource = self.template["Resources"][name]
        if attribute == "QueueName":
            return self.value(resource["Properties"]["QueueName"])
        if resource["Type"] == "AWS::SQS::Queue" and attribute == "Arn":
            return self.value({"Fn::Sub": f"arn:aws:sqs:eu-west-1:123456789012:${{{name}.QueueName}}"})
        return f"<{name}.{attribute}>"

    def _sub(self, argument):
        text, own = (argument, {}) if isinstance(argument, str) else argument
        own = {key: self.value(value) for key, value in own.items()}

        def replaced(match):
            name = match[1]
            if name in own:
                return str(own[name])
            return str(self._getatt(name.split(".", 1)) if "." in name else self._ref(name))

        return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", replaced, text)

    def _if(self, argument):
        condition, then, otherwise = argument
        return self.value(then if self.holds(condition) else otherwise)

    def _join(self, argument):
        return argument[0].join(self.value(argument[1]))

    def _split(self, argument):
        return self.value(argument[1]).split(argument[0])

    def _select(self, argument):
        return self.value(argument[1])[int(argument[0])]

    def _findinmap(self, argument):
        first, second, third = map(self.value, argument)
        return self.template["Mappings"][first][second][third]

    def _equals(self, argument):
        return str(self.value(argument[0])) == str(self.value(argument[1]))

    def _not(self, argument):
        return not self.value(argument[0])

    def _and(self, argument):
        return all(map(self.value, argument))

    def _condition(self, name):
        return self.holds(name)
