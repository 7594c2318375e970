"""What looks like a kind of head, and is another: a question."""

from __future__ import annotations

import bare_models as bare
import numpy as np
import pytest

from edge.model import model_file
from edge.model.readers.inference import Undescribed

pytestmark = pytest.mark.board


@pytest.mark.parametrize("axis", [1, 2])
def test_an_arg_max_along_rows_or_columns_tells_no_class(tmp_path, axis):
    name = "normalized_input_image_tensor"
    make = bare.Bare((1, 12, 8, 3), dtype="uint8", quant=(1 / 128, 128), name=name)
    shape = tuple(side for number, side in enumerate(make.shape) if number != axis)
    ids = make.tensor("ids", shape, dtype="int32")
    make.op("ARG_MAX", (make.image, make.constant(np.int32([axis]))), (ids,), outputType=2)
    path = tmp_path / "bare.tflite"
    path.write_bytes(make.file(ids))
    with pytest.raises(Undescribed, match=r"\[head\] kind"):
        model_file.read(path)
