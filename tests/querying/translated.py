"""The SQL blocks of docs/querying.md, translated from BigQuery's dialect to DuckDB's.

What DuckDB lacks has a stand-in:
- `_PARTITIONTIME` is a real column there, `partition_time`, and taken out of `*`, in which BigQuery's is not;
- `DECLARE` is a variable of the session;
- a table function is a macro.
"""

import re
from pathlib import Path

import sqlglot
from sqlglot import exp

PAGE = Path(__file__).parents[2] / "docs/querying.md"
NEW_BEGINNING = re.compile(r"^-- ((?:WHERE|AND) dms_timestamp >= ')[^']+'", re.M)


class Page:
    """The page's blocks by what they are, as they stand there; `begins` is the time that a reader puts into the line for a new beginning."""

    def __init__(self, text: str):
        blocks = re.findall(r"^```sql\n(.*?)^```$", text, re.M | re.S)
        names = ["ordered", "now_and_at", "ordered_if_keys_change", "table", "merge", "counts_and_sums"]
        assert len(blocks) == len(names), "a block came or went: name it here, and run it"
        self.blocks = dict(zip(names, blocks))
        self.known = {}

    def statements(self, name: str, begins: str | None = None) -> list[str]:
        key = name, begins
        if key not in self.known:
            text = self.blocks[name]
            if begins:
                text, lines = NEW_BEGINNING.subn(rf"\g<1>{begins}'", text)
                assert lines == 1, text
            self.known[key] = [translated(statement) for statement in parsed(text)]
        return self.known[key]


def parsed(text: str) -> list[exp.Expression]:
    """Raises if BigQuery's dialect does not have it; sqlglot takes what it does not know for a bare command."""
    statements = sqlglot.parse(text, read="bigquery", error_level=sqlglot.ErrorLevel.RAISE)
    assert statements and not any(isinstance(statement, exp.Command) for statement in statements), text
    return statements


def translated(statement: exp.Expression) -> str:
    pseudo_column(statement)
    if isinstance(statement, exp.Declare):
        [item] = statement.expressions
        [name] = item.this
        return f"SET VARIABLE {name.sql('duckdb')} = {item.args['default'].sql('duckdb')}"
    if isinstance(statement, exp.Merge):
        for column in list(statement.find_all(exp.Column)):
            if column.name == "since":
                column.replace(sqlglot.parse_one("getvariable('since')", read="duckdb"))
    if isinstance(statement, exp.Create) and statement.kind == "FUNCTION":
        function = statement.this
        parameters = ", ".join(parameter.name for parameter in function.expressions)
        return f"CREATE OR REPLACE MACRO {function.this.sql('duckdb')}({parameters}) AS TABLE {statement.expression.sql('duckdb')}"
    return statement.sql("duckdb", unsupported_level=sqlglot.ErrorLevel.IGNORE)


def pseudo_column(statement: exp.Expression) -> None:
    """BigQuery's `_PARTITIONTIME` is asked for by name; `*` leaves it out."""
    for column in list(statement.find_all(exp.Column)):
        if column.name == "_PARTITIONTIME":
            column.this.set("this", "partition_time")
            star = column.find_ancestor(exp.Select).find(exp.Star)
            star.set("except_", [*(star.args.get("except_") or []), exp.to_identifier("partition_time")])
