"""The file of a result: read again, refused where it is none, and silent about passwords."""

from __future__ import annotations

import pytest

from edge.benchmark import result
from edge.errors import SourceError

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param("{", "expected JSON of edge bench", id="no JSON"),
        pytest.param("[]", "expected JSON of edge bench", id="a list"),
        pytest.param(
            '{"schema_version": 2}',
            "schema_version: expected 1, found 2",
            id="later version",
        ),
        pytest.param('{"schema_version": 1}', "host: is needed and missing", id="without fields"),
    ],
)
def test_a_file_that_is_no_result_is_refused(text, said, tmp_path):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(SourceError, match=said):
        result.read(path)
