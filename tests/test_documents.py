"""README.md and docs/ lead where they say, and name what there is. What they show is run elsewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text()
EXTRAS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OF_DEVELOPERS = {"docs", "test", "bench"}


def test_each_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 20
    assert [link for link in links if not (PROJECT / link).is_file()] == []


def test_each_page_is_linked_from_the_readme_or_the_site_s_first_page() -> None:
    linked = set(re.findall(r"\]\((?:docs/)?([\w-]+\.md)\)", README + (PROJECT / "docs" / "index.md").read_text()))
    deeper = {
        name for page in linked for name in re.findall(r"\]\(([\w-]+\.md)\)", (PROJECT / "docs" / page).read_text())
    }
    assert {page.name for page in (PROJECT / "docs").glob("*.md")} <= linked | deeper | {"index.md"}


def test_each_page_that_the_code_names_is_there() -> None:
    sources = [path for package in ("lb", "ktls", "trade_balancer") for path in (PROJECT / package).rglob("*.py")]
    named = {page for path in sources for page in re.findall(r"docs/[\w-]+\.md", path.read_text())}
    assert named
    assert [page for page in named if not (PROJECT / page).is_file()] == []


def test_the_table_of_extras_is_that_of_the_package() -> None:
    page = (PROJECT / "docs" / "operate.md").read_text()
    table = re.findall(r"^\| `([a-z]+)` \| ([^|]+) \|", page, re.MULTILINE)
    told = {extra: set(packages.split(", ")) for extra, packages in table}
    brings = {
        extra: {re.split(r"[\[>=]", wish)[0] for wish in EXTRAS[extra]} for extra in EXTRAS.keys() - OF_DEVELOPERS
    }
    assert told == brings
