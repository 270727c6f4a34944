#!/usr/bin/env python3
"""Every parameter of a template with its value: what is given as Name=value, and the template's default for the rest.

    deploy/parameters.py build/template.yaml LandingBucket=acme-landing … > parameters.yaml
    sam deploy --parameter-overrides file://parameters.yaml …

For a parameter that is not named, SAM has CloudFormation keep the value that the stack has. Going back to an earlier release
would then keep what a later one was given. With all of them named, a stack is what its template and these values say, and
nothing else. (SAM reads YAML files, and JSON is YAML.) Needs PyYAML.
"""

import json
import sys
from pathlib import Path

import yaml


class Loader(yaml.SafeLoader):
    """YAML whose tags, such as !Ref, are of no interest here."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def complete(declared: dict, given: dict[str, str]) -> dict[str, str]:
    """All values, as texts. Raises `ValueError` for what the template does not know, or what it has no default for."""
    unknown = sorted(given.keys() - declared.keys())
    if unknown:
        raise ValueError(f"the template has no parameter {', '.join(unknown)}; take it out, or deploy a release that has it")
    missing = sorted(name for name, about in declared.items() if "Default" not in about and name not in given)
    if missing:
        raise ValueError(f"no value is given for {', '.join(missing)}, and there is no default")
    return {name: given.get(name, str(about.get("Default"))) for name, about in declared.items()}


def main(template: str, *pairs: str) -> None:
    declared = yaml.load(Path(template).read_text(), Loader)["Parameters"]
    try:
        given = dict(pair.split("=", 1) for pair in pairs)
        print(json.dumps(complete(declared, given), indent=2))
    except ValueError as error:
        sys.exit(f"STACK_PARAMETERS in deploy/settings.env: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
