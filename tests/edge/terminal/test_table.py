import pytest

from edge.terminal import table

pytestmark = pytest.mark.board


@pytest.mark.parametrize("of", [float, str])
def test_numbers_are_set_right_and_text_left(of):
    text = table.render(["stage", "ms"], [["invoke", of(7.25)], ["decode", of(12.5)]])
    assert text == "stage     ms\n------  ----\ninvoke  7.25\ndecode  12.5"


def test_a_dash_among_numbers_is_set_right_as_they_are():
    assert table.render(["ms"], [["12.5"], ["-"]]) == "  ms\n----\n12.5\n   -"


def test_a_table_without_rows_keeps_its_headers():
    assert table.render(["a", "bc"], []) == "a  bc\n-  --"


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        table.render(["a"], [[1], [2, 3]])
