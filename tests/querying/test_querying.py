"""The SQL of docs/querying.md, run over the histories in cases/. mutations.json has what each part of it is there for."""

import itertools
import json
import random
from pathlib import Path

import duckdb
import pytest

from cases import all_cases
from translated import PAGE, Page, parsed

CASES = all_cases()
TEXT = PAGE.read_text()
MUTATIONS = json.loads((Path(__file__).parent / "mutations.json").read_text())

# The columns as DMS writes them: its own first, then the source's, then those of the task's rules.
HISTORY = """
    CREATE TABLE player_log (Op TEXT, dms_timestamp TEXT NOT NULL, id BIGINT, name TEXT, balance DECIMAL(38, 9),
        AR_H_CHANGE_SEQ TEXT, BI_id BIGINT, partition_time TIMESTAMPTZ)"""
COLUMNS = ["Op", "dms_timestamp", "id", "name", "balance", "AR_H_CHANGE_SEQ", "BI_id"]

DATABASE = duckdb.connect(config={"threads": 1})


class Dataset:
    """A dataset `casino_a` with an empty history, and the views over it. There is one at a time."""

    def __init__(self, page: Page, ordered: str, begins: str | None = None):
        self.page, self.database = page, DATABASE
        for statement in ["USE memory.main", "DROP SCHEMA IF EXISTS casino_a CASCADE", "CREATE SCHEMA casino_a",
                          "USE casino_a", "SET TimeZone = 'UTC'", HISTORY]:
            self.database.execute(statement)
        self.run(ordered, begins)
        self.run("now_and_at")

    def run(self, block: str, begins: str | None = None) -> list[list[tuple]]:
        return [self.database.execute(statement).fetchall() for statement in self.page.statements(block, begins)]

    def load(self, rows) -> None:
        values = [[row[column] for column in COLUMNS] + [row["partition"]] for row in rows]
        self.database.executemany(f"INSERT INTO player_log VALUES ({', '.join('?' * len(values[0]))})", values)

    def rows_of(self, source: str) -> list[tuple]:
        return self.database.execute(f"SELECT id, name, balance::BIGINT FROM {source} ORDER BY id").fetchall()


def viewed(dataset: Dataset, case, rows) -> dict:
    """What the views answer, by the case's headings."""
    dataset.database.execute("DELETE FROM player_log")
    dataset.load(rows)
    answers = {}
    for heading in case.expected:
        if heading == "Now":
            answers[heading] = dataset.rows_of("player_now")
        elif heading.startswith("At "):
            answers[heading] = dataset.rows_of(f"player_at('{heading[3:]}')")
        elif heading == "Counts":
            answers[heading], _ = dataset.run("counts_and_sums")
        else:
            _, [sums] = dataset.run("counts_and_sums")
            answers[heading] = [tuple(int(sum) for sum in sums)]
    return answers


def merged(page: Page, case, ordered: str, when) -> list[tuple]:
    """What the merged table has in the end, if the schedule runs after those loads for which `when()` is true, and once more at the end."""
    dataset = Dataset(page, ordered)
    dataset.run("table")
    began = case.begins is None
    for loaded, rows in itertools.groupby(case.written, key=lambda row: row["loaded"]):
        if not began and loaded >= case.begins:
            dataset.run(ordered, case.begins)
            dataset.database.execute("TRUNCATE TABLE player_latest")
            began = True
        dataset.load(list(rows))
        if when():
            dataset.run("merge")
    dataset.run("merge")
    return dataset.rows_of("player_now")


def orders(case):
    """The history as loaded, backwards, and in some other order: a table has none."""
    yield case.written
    yield case.written[::-1]
    yield random.Random(0).sample(case.written, len(case.written))


def whens():
    """After every load, only at the end, and now and then."""
    yield lambda: True
    yield lambda: False
    draws = random.Random(0)
    yield lambda: draws.random() < 0.5


def forms(case) -> list[str]:
    """The two ways to write the first view. Where no key changes they must agree."""
    return ["ordered_if_keys_change"] if case.keys_change else ["ordered", "ordered_if_keys_change"]


def problems(page: Page, case):
    """What does not come out as the case says, if anything."""
    for ordered in forms(case):
        dataset = Dataset(page, ordered, case.begins)
        for rows in orders(case):
            answers = viewed(dataset, case, rows)
            if answers != case.expected:
                yield ordered, answers
        for when in whens():
            rows = merged(page, case, ordered, when)
            if rows != case.expected["Now"]:
                yield ordered, "merged", rows


@pytest.fixture(scope="session")
def page():
    return Page(TEXT)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_page_answers_as_the_case_says(page, case):
    for problem in problems(page, case):
        assert problem == case.expected


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation["without"])
def test_nothing_on_the_page_can_be_left_out(mutation):
    before, after = mutation["page"], mutation["instead"]
    assert before in TEXT, "the page has changed: change the mutation with it"
    assert mutation["noticed_by"]
    mutant = Page(TEXT.replace(before, after))
    for case in (case for case in CASES if case.name in mutation["noticed_by"]):
        assert next(problems(mutant, case), None), f"{case} does not notice"


def test_without_before_images_the_old_keys_stay(page):
    """Why the page has a second first view."""
    for case in (case for case in CASES if case.keys_change):
        now = viewed(Dataset(page, "ordered"), case, case.written)["Now"]
        assert {row[0] for row in now} > {row[0] for row in case.expected["Now"]}, case


def test_merging_again_changes_nothing(page):
    latest = "SELECT id, name, balance, Op, place, loaded_on::TEXT FROM player_latest ORDER BY id"
    for case in CASES:
        dataset = Dataset(page, "ordered_if_keys_change", case.begins)
        dataset.load(case.written)
        dataset.run("table")
        dataset.run("merge")
        once = dataset.database.execute(latest).fetchall()
        dataset.run("merge")
        assert dataset.database.execute(latest).fetchall() == once


def test_a_table_without_partition_times_is_merged_as_well():
    """As the page says: with a constant in its place, each merge reads everything."""
    constant = "TIMESTAMP '2000-01-01' AS loaded_on"
    assert f"`{constant}`" in TEXT
    page = Page(TEXT.replace("_PARTITIONTIME AS loaded_on", constant))
    for case in CASES:
        assert not list(problems(page, case)), case


def test_every_block_is_bigquerys_own_with_and_without_a_new_beginning(page):
    for block in page.blocks.values():
        parsed(block)
    for name in ["ordered", "ordered_if_keys_change"]:
        assert "WHERE" in page.statements(name, "2026-11-01 10:00:00")[0]
