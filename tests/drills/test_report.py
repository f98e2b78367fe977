"""Results and reports: nothing passes without having broken something, and a report tells it without a network."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pipeline_assets.drills.drill import Drill, DrillError, Journal, Result, find_drills, format_seconds, run_drill
from pipeline_assets.drills.report import make_markdown, make_table, write_report
from pipeline_assets.drills.verify import Difference

if TYPE_CHECKING:
    from pipeline_assets.drills.world import World

NO_WORLD = cast("World", None)
SAME = Difference((), (), (), 7, {}, {}, (".tmp-1",))
OTHER = Difference(("lake/a",), (), ("lake/b",), 5, {"scores": 3}, {"ledger": 2}, ())


def break_two(_: "World", journal: Journal) -> None:
    for seconds in (0.02, 0.04):
        journal.broke("kill at rename")
        journal.detected(seconds)
        journal.recovered(seconds * 100)
        journal.compare("somewhere", SAME)


def break_nothing(_: "World", journal: Journal) -> None:
    journal.compare("somewhere", SAME)


def lose(_: "World", journal: Journal) -> None:
    journal.broke("kill")
    journal.compare("killed at <rename>", OTHER)


def find_no_tool(_: "World", __: Journal) -> None:
    raise DrillError("expected the program x; install it")


def fall_over(_: "World", __: Journal) -> None:
    raise ZeroDivisionError("in the drill")


def run(work: object) -> Result:
    return run_drill(Drill("a_drill", "the <thing> is broken", cast("type", work)), NO_WORLD)


def test_a_drill_that_broke_something_and_found_no_difference_has_passed() -> None:
    result = run(break_two)
    assert result.passed
    assert (result.n_broken, result.files_compared, result.files_equal) == (2, 14, 14)
    assert result.median_detect_seconds == pytest.approx(0.03)
    assert result.median_recover_seconds == pytest.approx(3)
    assert result.counts == {"left-over temporary files": 2}


@pytest.mark.parametrize(
    ("work", "problem"),
    [
        (break_nothing, "nothing was broken"),
        (find_no_tool, "not carried out: expected the program x"),
        (fall_over, "the drill itself broke: .*ZeroDivisionError: in the drill"),
        (lose, "killed at <rename>: 3 rows of scores are lost"),
    ],
)
def test_a_drill_that_shows_nothing_or_finds_a_difference_has_failed(work: object, problem: str) -> None:
    result = run(work)
    assert not result.passed
    assert any(re.match(problem, found, re.DOTALL) for found in result.problems), result.problems


def test_a_difference_is_counted_by_files_and_rows() -> None:
    result = run(lose)
    assert (result.rows_lost, result.rows_doubled) == (3, 2)
    assert (result.files_compared, result.files_equal) == (7, 5)
    assert sorted(result.problems) == [
        "killed at <rename>: 2 rows of ledger are there twice",
        "killed at <rename>: 3 rows of scores are lost",
        "killed at <rename>: lake/a is missing",
        "killed at <rename>: lake/b has other bytes",
    ]


def test_problems_without_end_are_counted_and_not_listed() -> None:
    journal = Journal()
    journal.broke("x")
    for number in range(1000):
        journal.fail(f"problem {number}")
    problems = journal.conclude(Drill("a", "b", break_two)).problems
    assert len(problems) == 51
    assert problems[-1] == "and 950 more problems"


class Page(HTMLParser):
    """What a page holds: its tags, its text, and every address that it would load or lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_no_network_and_no_script_and_shows_each_drill(tmp_path: Path) -> None:
    results = [run(break_two), run(lose)]
    path = write_report(results, tmp_path / "new" / "folder")
    page, content = Page(), path.read_text(encoding="utf-8")
    page.feed(content)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert all(address.startswith("#") for address in page.addresses)
    assert "url(" not in content
    assert "@import" not in content
    assert page.tags.count("section") == 2
    assert page.tags.count("svg") == 2 + 2  # a timeline each, and the two kinds of times of the first
    assert "the <thing> is broken" in page.text  # which is text, and no tag
    assert "killed at <rename>: 3 rows of scores are lost" in page.text
    assert "1 of 2 passed" in page.text


def test_the_json_says_what_the_table_says(tmp_path: Path) -> None:
    write_report([run(break_two)], tmp_path)
    (described,) = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert described["passed"] is True
    assert described["broken"] == {"kill at rename": 2}
    assert described["median_recover_seconds"] == pytest.approx(3)
    assert [event for _, event in described["timeline"]] == ["a_drill: the <thing> is broken"]


def test_tables_have_a_line_a_drill_with_medians() -> None:
    results = [run(break_two), run(break_nothing)]
    markdown = make_markdown(results).splitlines()
    assert len(markdown) == 4
    assert markdown[2] == "| a_drill | the <thing> is broken | yes | 2 | 30 ms | 3.0 s | 0 | 0 | 14 of 14 |"
    assert "| NO | 0 | - | - |" in markdown[3]
    assert make_table(results).splitlines()[2].split("  ")[0] == "a_drill"


def test_drills_are_chosen_by_name_in_the_order_of_the_list() -> None:
    drills = [Drill(name, "x", break_two) for name in ("a", "b", "c")]
    assert find_drills(drills, []) == drills
    assert find_drills(drills, ["c", "a"]) == [drills[0], drills[2]]
    with pytest.raises(ValueError, match=r"expected one of a, b, c, found d"):
        find_drills(drills, ["a", "d"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0123, "12 ms"),
        (0.0004, "0.4 ms"),
        (0.25, "250 ms"),
        (0.9996, "1.0 s"),
        (9.96, "10 s"),
        (75, "75 s"),
    ],
)
def test_durations_are_short_and_have_units(seconds: float | None, text: str) -> None:
    assert format_seconds(seconds) == text
