"""A real broker is called, as a service would call it; two devices of one name are told apart."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from broker import Certificate, Mosquitto
from ports import free_port
from waiting import eventually

from edge.config import reading
from edge.config.mqtt import Mqtt
from edge.doctor import broker
from edge.doctor.host import Host
from edge.sinks.mqtt import MqttSink, open_mqtt
from edge.sinks.mqtt_faults import BrokerError

pytestmark = pytest.mark.board


def host(**mqtt):
    fields = {key: str(value) for key, value in mqtt.items()}
    return Host(Path("/"), reading.parse({"device": {"name": "porch"}, "mqtt": fields}))


def test_a_broker_that_is_away_is_told_in_the_service_s_own_words():
    with pytest.raises(BrokerError, match="nothing answers"):
        broker.broker(host(url=f"mqtt://127.0.0.1:{free_port()}"))


def test_a_password_file_that_others_read_is_refused(system):
    files = {"etc/edge/secrets/mqtt": "secret\n"}
    path = system(files).root / "etc/edge/secrets/mqtt"
    path.chmod(0o644)

    found = broker.credentials(system())

    assert (found.state, found.mend) == ("wrong", f"sudo chmod 600 {path}")
    path.chmod(0o600)
    assert broker.credentials(system()).state == "not applicable"


def test_what_systemd_shows_to_the_service_alone_is_read_where_it_comes_from(tmp_path):
    given = Path("/run/credentials/edge.service/mqtt")
    mqtt = Mqtt("mqtt://me@x", password_file=given)

    assert broker.with_secret(mqtt, tmp_path).password_file == tmp_path / "etc/edge/secrets/mqtt"
    elsewhere = mqtt.replace(password_file=Path("/srv/secret"))
    assert broker.with_secret(elsewhere, tmp_path) == elsewhere


@pytest.mark.broker
def test_two_boards_of_one_name_are_told_and_one_alone_is_fine(mosquitto, tmp_path, caplog):
    with Mosquitto(mosquitto, tmp_path) as running:
        looked = host(url=f"mqtt://127.0.0.1:{running.port}")
        assert "nobody speaks as device porch" in broker.broker(looked).found
        first = open_mqtt(looked.config.mqtt, name="mqtt", device="porch")
        alone = until(looked, "127.0.0.1")
        assert "somebody else" not in caplog.text
        second = MqttSink(looked.config.mqtt, "porch", client_id="edge-porch-other")
        both = until(looked, ", ")
        first.close(0)
        second.close(0)

    assert (alone.state, both.state) == ("ok", "wrong")
    assert "[device] name" in both.mend


def until(looked, words):
    """Look at who speaks until these words stand there."""
    found = []
    assert eventually(
        lambda: found.append(broker.broker(looked)) or words in found[-1].found.partition(";")[2],
        timeout_s=60,
    )
    return found[-1]


@pytest.mark.broker
@pytest.mark.parametrize(
    ("end", "state", "says"),
    [("20991231235959Z", "ok", "holds for"), ("{soon}", "warning", "ends in")],
)
def test_the_end_of_a_broker_s_certificate_is_told(mosquitto, tmp_path, end, state, says):
    soon = datetime.now(timezone.utc) + timedelta(days=12)
    dates = ("20200101000000Z", end.format(soon=soon.strftime("%Y%m%d%H%M%SZ")))
    made = Certificate.make(tmp_path / "keys", dates=dates)
    options = (f"certfile {made.certificate}", f"keyfile {made.key}")
    with Mosquitto(mosquitto, tmp_path, options=options) as running:
        url = f"mqtts://localhost:{running.port}"
        found = broker.certificate(host(url=url, ca_file=made.certificate))

    assert (found.state, says in found.found) == (state, True)
