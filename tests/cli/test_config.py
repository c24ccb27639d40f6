"""midwatch.yaml and MIDWATCH_… : every fault at once, with its place, its key and what is near."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.config import address, load, scalar
from cli.errors import ConfigFault


def _faults(tmp_path: Path, text: str, **environment: str) -> list[str]:
    file = tmp_path / "midwatch.yaml"
    file.write_text(text)
    with pytest.raises(ConfigFault) as caught:
        load(file, environment)
    return [fault.replace(str(file), "midwatch.yaml") for fault in caught.value.faults]


def test_no_file_and_no_variable_is_every_default() -> None:
    config = load(None, {})
    assert (config.service.listen, config.agent.listen) == ("127.0.0.1:8640", "127.0.0.1:9640")
    assert config.demo.shop_port == 8642


@pytest.mark.parametrize("text", ["", "# nothing\n", "service:\n", "service: {}\nagent: {}\n"])
def test_an_empty_file_or_section_is_every_default(tmp_path: Path, text: str) -> None:
    file = tmp_path / "midwatch.yaml"
    file.write_text(text)
    assert load(file, {}) == load(None, {})


def test_values_of_the_file_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "midwatch.yaml"
    file.write_text(
        "service:\n"
        "  evaluate_seconds: 5\n"
        "  receivers:\n"
        "    - {name: pager, url: 'https://pager.example/hook', roads: [page, ticket]}\n"
        "agent:\n  logs:\n    follow: false\n"
    )
    config = load(file, {})
    assert config.service.evaluate_seconds == 5
    assert config.service.receivers[0].roads == ("page", "ticket")
    assert config.agent.logs.follow is False


def test_all_faults_are_told_at_once_each_with_line_key_and_what_is_near(tmp_path: Path) -> None:
    faults = _faults(
        tmp_path,
        "service:\n"
        "  lisen: 127.0.0.1:80\n"
        "  evaluate_seconds: soon\n"
        "agnet:\n"
        "  interval_seconds: 5\n"
        "demo:\n"
        "  shop_port: 99999\n",
    )
    assert faults == [
        "midwatch.yaml:2: service.lisen: unknown key; did you mean listen?",
        "midwatch.yaml:3: service.evaluate_seconds: is not a number; write one such as 10 or 0.5",
        "midwatch.yaml:4: agnet: unknown key; did you mean agent?",
        "midwatch.yaml:7: demo.shop_port: is too large; write a number of at most 65535",
    ]


def test_an_unknown_key_deep_down_names_its_path_and_line(tmp_path: Path) -> None:
    text = "service:\n  receivers:\n    - name: pager\n      url: http://x/\n      road: [page]\n"
    assert _faults(tmp_path, text) == [
        "midwatch.yaml:5: service.receivers.0.road: unknown key; did you mean roads?",
    ]


def test_a_missing_key_points_to_the_line_of_what_misses_it(tmp_path: Path) -> None:
    text = "service:\n  receivers:\n    - name: pager\n"
    assert _faults(tmp_path, text) == ["midwatch.yaml:3: service.receivers.0.url: is missing; write it"]


def test_a_secret_that_is_refused_is_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in "\n".join(_faults(tmp_path, "service:\n  token: hunter2\n"))


def test_yaml_that_is_none_names_its_line(tmp_path: Path) -> None:
    (fault,) = _faults(tmp_path, "service:\n  listen: [\n")
    assert fault.startswith("midwatch.yaml:") and "not YAML" in fault


def test_a_list_at_the_top_is_refused(tmp_path: Path) -> None:
    assert _faults(tmp_path, "- service\n") == [
        "midwatch.yaml:1: not a mapping; begin with one of service, agent, demo:"
    ]


def test_a_file_that_is_not_there_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match=r"can't be read: No such file or directory; correct the path"):
        load(tmp_path / "none.yaml", {})


def test_variables_stand_over_the_file_and_reach_deeper_levels(tmp_path: Path) -> None:
    file = tmp_path / "midwatch.yaml"
    file.write_text("agent:\n  interval_seconds: 5\n")
    told = {"MIDWATCH_AGENT_INTERVAL_SECONDS": "2", "MIDWATCH_AGENT_LOGS__FOLLOW": "false", "MIDWATCH_OTHER": "x"}
    config = load(file, told)
    assert (config.agent.interval_seconds, config.agent.logs.follow) == (2, False)


def test_a_variable_for_text_stays_text() -> None:
    assert load(None, {"MIDWATCH_AGENT_NODE": "42"}).agent.node == "42"


def test_an_unknown_variable_of_ours_is_a_fault_with_what_is_near() -> None:
    with pytest.raises(ConfigFault) as caught:
        load(None, {"MIDWATCH_SERVICE_LISTN": "127.0.0.1:1"})
    assert caught.value.faults == (
        "environment MIDWATCH_SERVICE_LISTN: service.listn: unknown key; did you mean listen?",
    )


def test_the_agent_ships_to_the_service_of_the_same_file_with_its_token(tmp_path: Path) -> None:
    file = tmp_path / "midwatch.yaml"
    file.write_text("service: {listen: '0.0.0.0:9000', token: 0123456789abcdef}\n")
    config = load(file, {})
    assert (config.agent.server, config.agent.token) == ("http://127.0.0.1:9000", "0123456789abcdef")
    file.write_text("service: {listen: '127.0.0.1:9000'}\nagent: {server: 'http://elsewhere:1'}\n")
    assert load(file, {}).agent.server == "http://elsewhere:1"


def test_the_address_of_an_ipv6_listener_has_brackets() -> None:
    assert address(load(None, {"MIDWATCH_SERVICE_LISTEN": "[::1]:80"}).service) == "http://[::1]:80"


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("~", None), ("null", None), ("true", True), ("5", 5), ("0.5", 0.5), ("22:22", "22:22"), ("no", "no")],
)
def test_unquoted_values_mean_what_json_says_and_nothing_more(text: str, value: object) -> None:
    assert scalar(text) == value


BAD = (
    "service: {listen: x}", "service: {listen: 5}", "service: {listen: '0.0.0.0:1'}", "service: {token: short}",
    "service: {evaluate_seconds: 0}", "service: {evaluate_seconds: true}", "service: {max_series: 1.5}",
    "service: {evaluate_seconds: [1]}", "service: {rules: x}", "service: {rules: {a: b}}", "service: [1]",
    "service: {receivers: [x]}", "service: {receivers: [{name: 'a b', url: 'ftp://x'}]}",
    "service: {receivers: [{name: a, url: 'http://[x', roads: [road]}]}",
    "service: {receivers: [{name: a, url: 'http://x'}], digests: [{receiver: a, at: noon}]}",
    "service: {receivers: [{name: a, url: 'http://x', secret: '%'}, {name: b, url: 'http://x:99999', secret: aGk=}]}",
    "service: {store: 'ftp://x'}", "service: {store: 'prometheus+https://u:p@x/'}",
    f"service: {{listen: '127.0.0.1:{'9' * 5000}'}}", "service: {tls: {key: /k}}", "agent: {server: 'ftp://x'}",
    "agent: {node: ''}", "agent: {logs: {follow: maybe}}", "agent: {logs: 3}", "agent: {tls: {certificate: /c}}",
    "demo: {project: '-'}", "demo: {shop_port: '80'}", "nothing: 1", "service: {alerts: {mass_restarts_ratio: 2}}",
)  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_every_fault_is_in_our_words_with_its_place_its_key_and_what_to_do(tmp_path: Path, text: str) -> None:
    for fault in _faults(tmp_path, text + "\n"):
        assert re.match(r"midwatch\.yaml:1: [a-z]\S*: .*([;:?] ?|; )", fault), fault
        said = fault.partition(": ")[2].partition(": ")[2]
        assert re.search(r"; |: (set|make|rename) |did you mean", said), fault
        assert not re.search(r"[Ii]nput should|[Vv]alue error|[Ff]ield required|Extra inputs|pydantic|None\b", fault)


def test_a_key_that_stands_twice_hides_no_other_fault(tmp_path: Path) -> None:
    text = "service:\n  lisen: x\n  evaluate_seconds: 5\n  evaluate_seconds: 6\nagent: !x {nod: y}\n"
    assert [fault.partition(" ")[0] for fault in _faults(tmp_path, text)] == [
        "midwatch.yaml:2:",
        "midwatch.yaml:4:",
        "midwatch.yaml:5:",
        "midwatch.yaml:5:",
    ]
