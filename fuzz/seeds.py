"""Writes the seeds of one fuzz target, made of the cases in tests/cases, into a folder.

    python3 fuzz/seeds.py TARGET FOLDER
"""

import hashlib
import json
import sys
from pathlib import Path

CASES = Path(__file__).resolve().parent.parent / "tests" / "cases"

# Larger inputs make every execution slow and teach the fuzzer nothing that a smaller one does not.
LONGEST_SEED_BYTES = 16 * 1024


def files(kind, suffix):
    return [path.read_bytes() for path in sorted((CASES / kind).rglob(f"*.{suffix}"))]


def texts(value):
    """Every string in a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)


def keys():
    for document in files("keys", "json") + files("objects", "json"):
        yield from (text.encode() for text in texts(json.loads(document)) if "/" in text)


def footers():
    """Whole files, and what stands in them between the rows and the last eight bytes."""
    for file in files("footers", "parquet"):
        yield file
        length = int.from_bytes(file[-8:-4], "little")
        if file[-4:] == b"PAR1" and 0 < length <= len(file) - 8:
            yield file[-8 - length : -8]


def answers():
    for document in files("answers", "json"):
        body = json.loads(document)["answer"]
        yield (body if isinstance(body, str) else json.dumps(body)).encode()


def seeds(target):
    match target:
        case "events" | "mappings":
            return files(target, "json")
        case "keys":
            return keys()
        case "footers":
            return footers()
        case "answers":
            return answers()
    sys.exit(f"there is no target {target}")


def main(target, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds(target):
        if len(seed) <= LONGEST_SEED_BYTES:
            (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    main(*sys.argv[1:])
