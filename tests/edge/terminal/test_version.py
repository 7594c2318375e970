import numpy as np
import pytest

from edge.terminal.version import versions

pytestmark = pytest.mark.board


def test_versions_of_what_is_not_installed_are_left_out():
    assert versions(["numpy", "no-such-tool"]) == {"numpy": np.__version__}
