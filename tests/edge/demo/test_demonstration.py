import socket

import cv2
import pytest

from edge.demo import broker
from edge.demo import demonstration as demo
from edge.errors import SinkError
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.loaded import load_model

pytest.importorskip("amqtt", reason="the demo extra is not installed")


def test_the_demo_publishes_receives_and_draws(tmp_path, capsys):
    output = tmp_path / "demo.jpg"
    text = demo.run(frames=240, output=output)
    received = capsys.readouterr().out
    for label in ("person", "cat"):
        assert label in received
    assert "240 messages arrived" in text
    assert "p99 ms" in text
    image = cv2.imread(str(output))
    assert image.shape == (360, 1920, 3)


def test_the_annotated_image_shows_the_right_thing_in_each_scene():
    detector = load_model(model_file.read(default_model_path()))
    found = []
    for image in demo.scene_frames():
        detections = detector(image)
        labels = [detector.spec.description.labels[class_id] for class_id in detections.class_ids]
        found.append(labels)
    assert "person" in found[0]
    assert "cat" in found[1]
    assert "cup" in found[2]


def test_a_taken_port_is_left_alone():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((broker.LOOPBACK, broker.MQTT_PORT))
        except OSError:
            pass  # somebody else has it, which serves as well
        else:
            taken.listen()
        with broker.running() as port:
            assert port != broker.MQTT_PORT
            with socket.create_connection((broker.LOOPBACK, port), timeout=5):
                pass


def test_the_broker_ends_with_its_block():
    with broker.running() as port:
        pass
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((broker.LOOPBACK, port), timeout=5)


def test_an_image_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    with pytest.raises(SinkError, match="edge demo -o FILE"):
        demo.write_image(tmp_path / "missing" / "demo.jpg", demo.np.zeros((2, 2, 3), "uint8"))
