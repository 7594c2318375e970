"""Figures become Markdown, and go between the markers of their document."""

from __future__ import annotations

import bench_document
import pytest

from edge.errors import EdgeError

pytestmark = pytest.mark.board

PAGE = "# Page\n<!-- peers: begin -->\nold\n<!-- peers: end -->\n<!-- scaling: begin -->\nkept\n"


def test_a_table_is_aligned_and_its_bars_are_escaped():
    assert bench_document.table(["peer", "ms"], [["a|b", 1.5], ["c", 20]]) == (
        "| peer | ms  |\n|------|-----|\n| a\\|b | 1.5 |\n| c    | 20  |"
    )


def test_a_section_is_replaced_and_the_rest_kept_however_often(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    for text in ("new", "newer\n"):
        bench_document.write_section(path, "peers", text)
    assert path.read_text() == PAGE.replace("\nold\n", "\n\nnewer\n\n")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("# Page\n", id="none"),
        pytest.param("<!-- peers: begin -->", id="no end"),
        pytest.param("<!-- peers: end --><!-- peers: begin -->", id="reversed"),
    ],
)
def test_without_markers_nothing_is_written_and_the_error_says_which(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(EdgeError, match="<!-- peers: begin -->"):
        bench_document.write_section(path, "peers", "new")
    assert path.read_text() == text


def test_a_missing_document_is_named(tmp_path):
    with pytest.raises(EdgeError, match=r"gone\.md"):
        bench_document.write_section(tmp_path / "gone.md", "peers", "new")


def test_the_heading_has_the_command_as_it_is_typed():
    assert bench_document.heading(["--peers", "--only", "a b"]).startswith(
        "`scripts/bench --peers --only 'a b'`, 2"
    )


@pytest.mark.parametrize(("load", "warns"), [(0.5, False), (64.0, True)], ids=["idle", "busy"])
def test_figures_of_a_busy_machine_say_so(monkeypatch, load, warns):
    monkeypatch.setattr(bench_document.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(bench_document.os, "getloadavg", lambda: (load, load, load))
    assert ("was busy" in bench_document.heading(["--peers"])) is warns
