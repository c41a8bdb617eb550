"""The page "Which loss?": its tables are those of the JSON file, and each loss that it names can be made."""

import json
import re
import statistics

import pytest

import multiloss
from helpers.pages import ROOT

PAGE = (ROOT / "docs" / "which.md").read_text(encoding="utf-8")
MEASURED = json.loads((ROOT / "docs" / "pictures" / "which.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MEASURED)
def test_a_table_is_what_was_measured(name: str) -> None:
    _, found, rest = PAGE.partition(f"<!-- measured: {name} -->\n\n")
    assert found, f"the page shows no table of {name}"
    rows = [line.strip("| ").split(" | ") for line in rest.partition("\n\n<!-- end -->")[0].splitlines()]
    table = MEASURED[name]
    assert rows[0] == [table["first"], *table["columns"]]
    assert [row[0] for row in rows[2:]] == list(table["rows"])
    for (_, *cells), seeds in zip(rows[2:], table["rows"].values(), strict=True):
        for cell, values in zip(cells, seeds, strict=True):
            mean, spread = (float(number) for number in re.findall(r"[\d.]+", cell))
            digit = 10.0 ** -len(cell.split()[0].partition(".")[2])
            assert mean == pytest.approx(statistics.mean(values), abs=0.51 * digit)
            assert spread == pytest.approx(statistics.stdev(values), abs=0.51 * digit)


def test_the_page_shows_no_other_table() -> None:
    assert set(re.findall(r"<!-- measured: (.*?) -->", PAGE)) == set(MEASURED)


@pytest.mark.parametrize("form", sorted(set(re.findall(r"`(get\(.*?\))`", PAGE))))
def test_a_loss_that_the_page_names(form: str) -> None:
    assert eval(form, {"get": lambda name, **options: multiloss.get(name, backend="numpy", **options)}) is not None


def test_links_lead_to_the_loss_that_they_name() -> None:
    links = re.findall(r'`get\("(\w+)"[^`]*`\]\(#loss-([a-z0-9-]+)\)', PAGE)
    assert len(links) > 40
    for name, anchor in links:
        assert multiloss.get(name).config()["name"] == anchor.replace("-", "_")


def test_the_pictures_are_there() -> None:
    for picture in re.findall(r"\]\((pictures/.*?)\)", PAGE):
        assert (ROOT / "docs" / picture).exists(), picture
