"""`prx config` where no daemon runs: on the files, by the same rules."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prx.cli import prx
from prx.core.errors import BadRequestError, ConfigError, NotFoundError

TEXT = """\
[memory]
top_k = 7
[provider]
api_key = "hunter2"
[plugins.settings."my.plugin"]
tool_prefix = "my_"
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRX__DAEMON__DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "prx.toml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(prx, ["config", *arguments], input=given)


def output(*arguments: str, given: str | None = None) -> str:
    result = run(*arguments, given=given)
    assert result.exit_code == 0, result
    return result.output


def test_the_configuration_is_shown_as_toml_that_validates(tmp_path: Path) -> None:
    shown = output("show")
    assert 'api_key = "***REDACTED***"' in shown
    assert "hunter2" not in shown
    (tmp_path / "shown.toml").write_text(shown)
    assert "shown.toml is valid." in output("validate", "shown.toml")
    assert json.loads(output("show", "--json"))["memory"]["top_k"] == 7


def test_each_value_is_shown_with_its_layer(tmp_path: Path) -> None:
    output("set", "memory.top_k", "8")
    lines = output("show", "--origin").splitlines()
    assert f"memory.top_k = 8  # {tmp_path}/data/overlay.toml:3; hides {tmp_path}/prx.toml:2" in lines
    assert "agent.max_turns = 50  # default" in lines
    assert f'provider.api_key = "***REDACTED***"  # {tmp_path}/prx.toml:4' in lines
    row = json.loads(output("show", "--origin", "--json"))["daemon.data_dir"]
    assert row == {"value": f"{tmp_path}/data", "origin": "PRX__DAEMON__DATA_DIR"}


def test_a_key_is_printed_as_scripts_want_it() -> None:
    assert output("get", "memory.top_k") == "7\n"
    assert output("get", "memory.backend") == "sqlite\n"
    assert output("get", "memory.backend", "--json") == '"sqlite"\n'
    assert output("get", 'plugins.settings."my.plugin".tool_prefix') == "my_\n"
    assert json.loads(output("get", "gateway.rate_limits"))["other"] == 30
    refused = run("get", "memory.top")
    assert isinstance(refused.exception, NotFoundError)
    assert refused.exception.message == 'memory.top: unknown key; did you mean "memory.top_k"?'


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("memory.top_k", "9", 9),
        ("memory.min_relevance_score", "0.5", 0.5),
        ("plugins.allow_private_targets", "true", True),
        ("gateway.allowed_hosts", '["a", "b"]', ["a", "b"]),
        ("provider.model", "4", "4"),
        ("agent.system_prompt", "-1", "-1"),
        ('plugins.settings."my.plugin".config.units', "5", "5"),
        ("channels_config.x.rooms", "[1, 2]", [1, 2]),
    ],
)
def test_a_key_is_set_to_what_was_typed_and_unset_again(key: str, typed: str, value: object) -> None:
    before = output("show")
    assert output("set", key, typed) == f"{key} is set.\n"
    assert json.loads(output("get", key, "--json")) == value
    assert output("unset", key) == f"{key} is out of the overlay.\n"
    assert output("show") == before


def test_a_secret_comes_from_standard_input(tmp_path: Path) -> None:
    assert output("set", "provider.api_key", "-", given="new-secret\n") == "provider.api_key is set.\n"
    assert 'api_key = "new-secret"' in (tmp_path / "data" / "overlay.toml").read_text()
    assert "left alone" in output("set", "provider.api_key", "***REDACTED***")


def test_a_change_says_when_it_counts_and_what_hides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        output("set", "gateway.port", "1") == "gateway.port is set; it counts from the daemon's next start.\n"
    )
    monkeypatch.setenv("PRX__MEMORY__TOP_K", "3")
    assert "no effect: PRX__MEMORY__TOP_K sets it, too" in output("set", "memory.top_k", "5")
    assert json.loads(output("set", "memory.top_k", "5", "--json")) == {
        "updated": ["memory.top_k"],
        "reload_required": False,
        "results": {"memory.top_k": "hidden"},
        "hidden": {"memory.top_k": "PRX__MEMORY__TOP_K"},
    }


def test_a_wrong_value_is_refused_with_what_was_expected() -> None:
    refused = run("set", "gateway.port", "high")
    assert isinstance(refused.exception, BadRequestError)
    assert "expected integer, at least 0, at most 65535" in refused.exception.message
    assert isinstance(run("set", "a..b", "1").exception, BadRequestError)


def test_a_file_is_validated_before_it_goes_into_place(tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text("[memory]\ntop_k = 0\n[agnet]\n")
    refused = run("validate", str(draft))
    assert isinstance(refused.exception, ConfigError)
    assert (
        f"{draft}:2: memory.top_k: expected integer, at least 1, at most 1000, not 0"
        in refused.exception.message
    )
    told = run("validate", str(draft), "--json")
    assert told.exit_code == 2
    fields = [error["field"] for error in json.loads(told.output)["errors"]]
    assert sorted(fields) == ["agnet", "memory.top_k"]


def test_validation_lists_what_later_layers_hide(tmp_path: Path) -> None:
    output("set", "memory.top_k", "8")
    said = output("validate")
    overlay = f"{tmp_path}/data/overlay.toml:3"
    assert f"{tmp_path}/prx.toml:2: memory.top_k has no effect: {overlay} sets it, too" in said


def test_a_wrong_overlay_can_be_put_right(tmp_path: Path) -> None:
    output("set", "memory.top_k", "8")
    overlay = tmp_path / "data" / "overlay.toml"
    overlay.write_text("[memory]\ntop_k = 'many'\n")
    assert isinstance(run("show").exception, ConfigError)
    output("unset", "memory.top_k")
    assert output("get", "memory.top_k") == "7\n"


def test_the_files_are_listed_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "prx.d").mkdir()
    for name in ("20.toml", "10.toml", ".#10.toml"):
        (tmp_path / "prx.d" / name).write_text("")
    assert output("path").splitlines() == [
        f"{tmp_path}/prx.toml",
        f"{tmp_path}/prx.d/10.toml",
        f"{tmp_path}/prx.d/20.toml",
        f"{tmp_path}/data/overlay.toml (overlay, not there yet)",
    ]


def test_the_schema_is_printed_for_editors() -> None:
    assert json.loads(output("schema"))["properties"].keys() >= {"gateway", "plugins"}
