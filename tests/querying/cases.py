"""Cases are pages: a title, why, and tables. `## Written` has the history in the order of loading; the others are what must come out of it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "cases"


@dataclass
class Case:
    name: str
    begins: str | None = None
    written: list[dict] = field(default_factory=list)
    expected: dict[str, list[tuple]] = field(default_factory=dict)

    @property
    def keys_change(self) -> bool:
        return any(row["Op"] == "U" and row["BI_id"] not in (None, row["id"]) for row in self.written)

    def __str__(self):
        return self.name


def all_cases() -> list[Case]:
    return [read(path) for path in sorted(FOLDER.glob("*.md"))]


def read(path: Path) -> Case:
    case = Case(path.stem)
    for heading, body in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", path.read_text(), re.M | re.S):
        rows = table(body)
        if heading == "Written":
            case.written = [history_row(row) for row in rows]
        elif begins := re.fullmatch(r"New beginning at (\S+ \S+)", heading):
            case.begins = begins[1]
        else:
            case.expected[heading] = [tuple(row.values()) for row in rows]
    assert case.written and case.expected["Now"] is not None, path
    return case


def table(text: str) -> list[dict]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    head, _, *rows = lines or [[], []]
    assert all(len(row) == len(head) for row in rows), text
    return [{name: value(cell) for name, cell in zip(head, row)} for row in rows]


def value(cell: str):
    """Nothing is NULL, '' is an empty text, and what looks like a number is one."""
    return None if cell == "" else "" if cell == "''" else int(cell) if re.fullmatch(r"-?\d+", cell) else cell


def history_row(row: dict) -> dict:
    """Spells out what a case leaves out: the sequence's 16 digits of time, and the partition that follows from when the file was loaded."""
    row = {"partition": None, "BI_id": None, **row}
    sequence, committed = row.pop("sequence"), row["dms_timestamp"]
    if isinstance(sequence, int):
        sequence = re.sub(r"\D", "", committed)[:16] + f"{sequence:019}"
    return {**row, "AR_H_CHANGE_SEQ": sequence, "partition": row["partition"] or row["loaded"][:10]}
