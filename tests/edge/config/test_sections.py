import re
from typing import get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import reading as config
from edge.config.camera import KEYS
from edge.config.mqtt import Mqtt
from edge.config.sections import Config
from edge.config.sink import Jsonl
from edge.errors import ConfigError
from edge.record import Record

pytestmark = pytest.mark.board


def sections():
    """Return the keys of each section that is one table, by the name of the section."""
    found = {"camera": KEYS}
    for name, hint in get_type_hints(Config).items():
        of = () if get_origin(hint) is tuple else (hint, *get_args(hint))
        kinds = [kind for kind in of if isinstance(kind, type)]
        if record := next((kind for kind in kinds if issubclass(kind, Record)), None):
            found[name] = record.__struct_fields__
    return found


def write(tmp_path, text):
    path = tmp_path / "device.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        config.load(write(tmp_path, text), {})
    return str(caught.value).splitlines()


def test_no_file_gives_the_demo_source_on_stdout():
    settings = config.load(None, {})
    assert settings.cameras[0].source == "demo:"
    assert settings.mqtt is None
    assert settings.sinks == (Jsonl(),)


def test_a_broker_takes_the_place_of_stdout_unless_both_are_asked_for(tmp_path):
    path = write(tmp_path, "[mqtt]\nurl = 'mqtt://broker'")
    broker = Mqtt("mqtt://broker")
    assert config.load(path, {}).sinks == (broker,)
    assert config.load(path, {"output": {"jsonl": True}}).sinks == (broker, Jsonl())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            "[camera]\nsuorce = 'demo:'", "[camera] unknown key 'suorce'; did you mean 'source'?",
            id="typo-in-a-key",
        ),
        pytest.param("[cmera]\nx = 1", "unknown [cmera]; did you mean [camera]?",
                     id="typo-in-a-section"),
        pytest.param(
            "[mqtt]\nurl = 'mqtt://b'\nkeepalive = 30",
            "[mqtt] 'keepalive = 30' has no unit; write 'keepalive_s = 30'",
            id="number-without-a-unit",
        ),
        pytest.param(
            "[output]\njsonl = false",
            "results go nowhere; add [mqtt] url, or leave [output] jsonl out",
            id="no-sink-at-all",
        ),
        pytest.param("[mqtt]\nqos = 1", "[mqtt] url is needed and missing", id="missing-key"),
        pytest.param(
            "[device]\nname = 'a b'",
            "[device] name: expected 1 to 64 of the characters A-Z a-z 0-9 _ -, found 'a b'",
            id="name-that-no-topic-can-hold",
        ),
        pytest.param(
            "[mqtt]\nurl = 'http://b'",
            "[mqtt] url: expected mqtt://HOST or mqtts://HOST, found 'http://b'",
            id="foreign-scheme",
        ),
        pytest.param(
            "[mqtt]\nurl = 'mqtt://b:99999'",
            "[mqtt] url: expected a port from 1 to 65535 behind 'b'",
            id="port-out-of-range",
        ),
        pytest.param(
            "[mqtt]\nurl = 'mqtt://b'\npassword_file = 'p'",
            "[mqtt]: password_file needs a user: write url = 'mqtt://USER@HOST'",
            id="password-without-user",
        ),
        pytest.param(
            "[mqtt]\nurl = 'mqtt://b'\nca_file = 'p'",
            "[mqtt]: ca_file needs TLS: write url = 'mqtts://HOST'",
            id="certificates-without-tls",
        ),
        pytest.param(
            "[model]\nworkers = 0",
            "[model] workers: expected a whole number from 1 up to 16, found 0",
            id="no-worker",
        ),
        pytest.param(
            "[model]\nworkers = 2\ndelegate = 'edgetpu'",
            "[model]: workers = 2 would queue for one device, delegate 'edgetpu', which runs one "
            "frame at a time; leave workers out",
            id="workers-of-one-device",
        ),
        pytest.param(
            "model = 3", "[model]: expected a table of keys, found 3", id="section-that-is-a-number"
        ),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_path_and_the_cure(tmp_path, text, sentence):
    (fault,) = faults_of(tmp_path, text)
    assert fault.endswith(f"device.toml: {sentence}")


def test_all_faults_are_reported_at_once(tmp_path):
    text = "[camera]\nrate_hz = -1\nsize_wh = [0, 5]\n[model]\nthreads = 'x'\n[nonsense]\n"
    assert len(faults_of(tmp_path, text)) == 4


def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path):
    (fault,) = faults_of(tmp_path, "[mqtt]\nurl = 'mqtt://me:s3cret@b'")
    assert "password_file" in fault
    assert "s3cret" not in fault


def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path):
    (fault,) = faults_of(tmp_path, "[camera]\nsource = demo:\n")
    assert "line 2" in fault


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "gone.toml", {})


def test_paths_are_relative_to_the_configuration_file(tmp_path):
    path = write(tmp_path, "[model]\nfile = 'm.tflite'\n[camera]\nsource = 'file:clip.mp4'")
    settings = config.load(path, {})
    assert settings.model.file == tmp_path / "m.tflite"
    assert settings.cameras[0].source == f"file:{tmp_path / 'clip.mp4'}"


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [("mqtt://b", 1883, False), ("mqtts://b", 8883, True), ("mqtts://u@b:1234", 1234, True)],
)
def test_a_broker_url_gives_port_and_encryption(url, port, tls):
    broker = config.load(None, {"mqtt": {"url": url}}).mqtt
    assert (broker.host, broker.port, broker.tls) == ("b", port, tls)


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        pytest.param("[camera]\nsuorce = 1\nname = 'a'", "[camera]\nname = 'a'", id="unknown key"),
        pytest.param("[camera]\nsize_wh = [1, 0]\nname = 'a'", "[camera]\nname = 'a'", id="size"),
        pytest.param("[cmera]\nx = 1\n[model]\nthreads = 3", "[model]\nthreads = 3", id="section"),
        pytest.param("model = 3", "", id="no section"),
        pytest.param("[mqtt]\nqos = 1\n[device]\nname = 'a'", "[device]\nname = 'a'", id="no url"),
        pytest.param("[output]\njsonl = false\n[model]\nthreads = 3", "[model]\nthreads = 3",
                     id="results that go nowhere"),
        pytest.param("[output]\njsonl = false\nx = 1\n[mqtt]\nurl = 1", "", id="all at once"),
        pytest.param("[[camera]]\nname = 'a'\n[[camera]]\nname = 'b'\nx = 1",
                     "[[camera]]\nname = 'a'\n[[camera]]\nname = 'b'", id="second camera"),
        pytest.param("[[camera]]\nname = 'a'\n[[camera]]\nname = 'a'", "[camera]\nname = 'a'",
                     id="cameras of one name"),
        pytest.param("camera = [1, 2]", "", id="cameras that are none"),
        pytest.param("camera = []", "", id="no camera"),
        pytest.param("[camera\n", "", id="no TOML"),
    ],
)  # fmt: skip
def test_what_is_sound_of_a_faulty_file_can_still_be_checked(tmp_path, text, sound):
    part = config.load_sound_part(write(tmp_path, text))
    (tmp_path / "sound.toml").write_text(sound)

    assert part == config.load(tmp_path / "sound.toml", {})


@given(st.text(max_size=200))
def test_no_text_at_all_escapes_as_anything_but_a_config_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "device.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        config.load(path, {})
    except ConfigError as error:
        assert str(error)  # noqa: PT017 - a fault or none, both are right


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*sections(), "sink"]), VALUES, max_size=5))
def test_no_values_escape_as_anything_but_a_config_error(fields):
    try:
        config.parse(fields)
    except ConfigError as error:
        assert str(error)  # noqa: PT017


def test_the_document_lists_every_key_and_no_other(root):
    text = (root / "docs" / "configuration.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `\[(\w+)\] (\w+)`", text, re.MULTILINE))
    keys = {(name, key) for name, section in sections().items() for key in section}
    assert listed == keys


def test_one_camera_is_a_table_and_several_are_an_array_of_tables(tmp_path):
    one = write(tmp_path, "[camera]\nname = 'door'\n")
    assert [camera.name for camera in config.load(one, {}).cameras] == ["door"]
    two = write(tmp_path, "[[camera]]\nname = 'door'\n[[camera]]\nname = 'gate'\n")
    assert [camera.name for camera in config.load(two, {}).cameras] == ["door", "gate"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("[camera]\nname = 'reply'\n", "cannot be named 'reply'", id="a topic's level"),
        pytest.param("[[camera]]\n[[camera]]\n", "two cameras are named 'camera'", id="names"),
        pytest.param(
            "[[camera]]\n[[camera]]\nname='b'\nsize=3\n",
            "[[camera]] 2 (b) 'size = 3' has no unit",
            id="second",
        ),
        pytest.param("camera = []\n", "[camera]", id="none"),
    ],
)
def test_a_fault_among_several_cameras_says_which(tmp_path, text, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        config.load(write(tmp_path, text), {})


def test_the_command_line_changes_no_configuration_of_several_cameras(tmp_path):
    path = write(tmp_path, "[[camera]]\n[[camera]]\nname = 'gate'\n")
    with pytest.raises(ConfigError, match="leave out --source"):
        config.load(path, {"camera": {"source": "demo:"}})
