"""What deploy/google and the gcloud commands of docs/deploying.md say, read by other people's parsers."""

import re
from pathlib import Path

import hcl2
import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs/deploying.md"


def unquoted(value):
    """python-hcl2 keeps the quotes of strings; nobody here wants them."""
    if isinstance(value, dict):
        return {unquoted(key): unquoted(held) for key, held in value.items()}
    if isinstance(value, list):
        return [unquoted(held) for held in value]
    if isinstance(value, str) and len(value) >= 2 and value.startswith('"') and value.endswith('"'):
        return value[1:-1]
    return value


@pytest.fixture(scope="session")
def terraform():
    """All files of the module as one: {kind of block: {labels: content}}."""
    found = {}
    for file in sorted((REPOSITORY / "deploy/google").glob("*.tf")):
        for kind, blocks in unquoted(hcl2.loads(file.read_text())).items():
            for block in blocks if isinstance(blocks, list) else []:
                found.setdefault(kind, []).append(block)
    return found


@pytest.fixture(scope="session")
def resources(terraform):
    """{(type, name): content}"""
    pairs = ((kind, name, body) for block in terraform["resource"] for kind, named in block.items()
             for name, body in named.items() if not kind.startswith("__"))
    return {(kind, name): body for kind, name, body in pairs}


@pytest.fixture(scope="session")
def section():
    text = PAGE.read_text()
    found = re.search(r"^## Google, without a key\n(.*?)(?=^## )", text, re.M | re.S)
    return found.group(1)


@pytest.fixture(scope="session")
def commands(section):
    """The section's shell blocks, in order."""
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```", section, re.M | re.S)
    return [re.sub(rf"^{indent}", "", block, flags=re.M) for indent, block in blocks]
