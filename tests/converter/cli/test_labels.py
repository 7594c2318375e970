"""`--classes`: a detector that knows some of its labels only."""

from __future__ import annotations

import pytest
from reference import bright_net

from converter import export
from converter.cli.command import main
from edge.model import model_file
from edge.terminal.command import DONE, MISUSED

pytestmark = pytest.mark.converter


def test_fewer_labels_need_no_images_and_run_judges_by_the_same(tmp_path, capsys):
    model, images, output = (tmp_path / name for name in ("bright.tflite", "photos", "made.tflite"))
    export.write(bright_net.model_file(), model)
    images.mkdir()
    bright_net.write_images(images, 40)
    assert main(["prune", str(model), "--classes", "square", "-o", str(output)]) == DONE
    assert "1 of 2 labels kept" in capsys.readouterr().out
    assert model_file.read_own(output).description.labels == ("square",)
    arguments = ["run", str(model), "--classes", "square", "--images", str(images), "--no-report",
                 "-o", str(output)]  # fmt: skip
    assert main(arguments) == DONE
    assert "1 of 2 labels kept" in capsys.readouterr().err
    assert model_file.read_own(output).description.labels == ("square",)
    assert main([*arguments, "--classes", "squar"]) == MISUSED
    assert "found 'squar'; near is square" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["prune", str(model), "--macs", "0.5", "-o", str(output)])
    assert "expected --images" in capsys.readouterr().err
