"""The configuration over the port: what is shown, what is changed, and what is refused."""

import json
from typing import Any

import jsonschema_rs
import pytest

from prx.api.tokens import TokenStore
from tests.integration.api.api_harness import Api, Reply

MASK = "***REDACTED***"


async def patch(api: Api, body: Any, **more: Any) -> Reply:
    return await api.call("PATCH", "/api/v1/config", json=body, **more)


async def current(api: Api) -> dict[str, Any]:
    tree: dict[str, Any] = (await api.get("/api/v1/config")).json()
    return tree


async def test_the_effective_configuration_is_shown_and_its_secrets_are_not(api: Api) -> None:
    reply = await api.get("/api/v1/config")
    tree = reply.json()
    assert tree["memory"] == {
        "backend": "sqlite",
        "top_k": 7,
        "min_relevance_score": 0.0,
        "retention_days": None,
        "tools": False,
        "embedding_model": None,
        "embedding_min_similarity": 0.3,
    }
    assert tree["agent"]["max_turns"] == 9
    assert tree["channels_config"]["x"]["bot_token"] == MASK
    assert b"hunter2" not in reply.body


async def test_what_is_shown_fits_the_schema_that_is_served(api: Api) -> None:
    schema = (await api.get("/api/v1/config/schema")).json()
    validator = jsonschema_rs.Draft202012Validator(schema)
    tree = await current(api)
    assert [error.message for error in validator.iter_errors(tree)] == []
    assert not validator.is_valid(tree | {"cron": {}})
    assert schema["$defs"]["GatewayConfig"]["properties"]["port"]["reload"] == "restart"


async def test_a_patch_answers_what_became_of_each_key(api: Api) -> None:
    reply = await patch(api, {"agent.max_turns": 100, "memory.top_k": 15, "gateway.port": 1})
    assert reply.status == 200
    assert reply.json() == {
        "updated": ["agent.max_turns", "memory.top_k", "gateway.port"],
        "reload_required": True,
        "results": {
            "agent.max_turns": "hidden",
            "memory.top_k": "applied",
            "gateway.port": "restart_required",
        },
        "hidden": {"agent.max_turns": "PRX__AGENT__MAX_TURNS"},
    }
    tree = await current(api)
    assert (tree["agent"]["max_turns"], tree["memory"]["top_k"], tree["gateway"]["port"]) == (9, 15, 3120)


async def test_a_patch_of_hot_keys_needs_no_restart(api: Api) -> None:
    reply = await patch(api, {"memory.top_k": 15})
    assert reply.json() == {
        "updated": ["memory.top_k"],
        "reload_required": False,
        "results": {"memory.top_k": "applied"},
        "hidden": {},
    }


async def test_one_wrong_key_keeps_all_of_them_from_being_changed(api: Api) -> None:
    error = (await patch(api, {"memory.top_k": 15, "gateway.port": "x", "agent.max_turn": 1})).error
    assert error["code"] == "bad_request"
    assert error["details"] == {
        "errors": [
            {"field": "agent.max_turn", "message": 'unknown key; did you mean "agent.max_turns"?'},
            {"field": "gateway.port", "message": 'expected integer, at least 0, at most 65535, not "x"'},
        ]
    }
    for known in ("agent.max_turn:", "gateway.port: expected integer, at least 0, at most 65535"):
        assert known in error["message"]
    assert (await current(api))["memory"]["top_k"] == 7


@pytest.mark.parametrize("key", ["url", "oauth.issuer"])
async def test_an_address_that_nothing_could_be_sent_to_is_refused(api: Api, key: str) -> None:
    table = "mcp.servers.tickets"
    await patch(api, {f"{table}.url": "http://127.0.0.1:1/mcp"})
    reply = await patch(api, {f"{table}.{key}": "https://user:hunter2@tickets:99999"})
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    [error] = reply.error["details"]["errors"]
    assert error["field"] == f"{table}.{key}"
    assert "a port is 1 to 65535" in error["message"]
    assert "hunter2" not in json.dumps(reply.error)


@pytest.mark.parametrize("body", ["{}", "[]", "null", "", '{"memory.top_k": }', '"memory.top_k"'])
async def test_a_body_that_changes_nothing_or_is_no_object_is_refused(api: Api, body: str) -> None:
    reply = await api.call("PATCH", "/api/v1/config", data=body, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.error["code"]) == (400, "bad_request")


async def test_the_mask_sent_back_leaves_the_secret_alone(api: Api) -> None:
    reply = await patch(api, {"channels_config.x.bot_token": MASK, "channels_config.x.enabled": False})
    assert reply.json()["updated"] == ["channels_config.x.enabled"]
    extra = api.live.current.channels_config["x"].model_extra
    assert extra is not None
    assert extra["bot_token"].get_secret_value() == "hunter2"


async def test_a_change_for_another_configuration_is_refused(api: Api) -> None:
    etag = (await api.get("/api/v1/config")).headers["ETag"]
    first = await patch(api, {"memory.top_k": 1}, headers={"If-Match": etag})
    assert first.status == 200
    second = await patch(api, {"memory.top_k": 2}, headers={"If-Match": etag})
    assert (second.status, second.error["code"]) == (412, "precondition_failed")
    third = await patch(api, {"memory.top_k": 2}, headers={"If-Match": f'"old", {first.headers["ETag"]}'})
    assert third.status == 200
    assert (await patch(api, {"memory.top_k": 3}, headers={"If-Match": "*"})).status == 200


@pytest.mark.parametrize("tag", ['W/"{}"', '"{}x"', "{}", "nonsense,"])
async def test_a_tag_that_is_weak_other_or_none_does_not_match(api: Api, tag: str) -> None:
    etag = (await api.get("/api/v1/config")).headers["ETag"].strip('"')
    reply = await patch(api, {"memory.top_k": 2}, headers={"If-Match": tag.format(etag)})
    assert reply.status == 412


async def test_the_origin_of_each_value_is_told(api: Api) -> None:
    await patch(api, {"memory.top_k": 15, "gateway.port": 1, "provider.api_key": "hunter2"})
    reply = await api.get("/api/v1/config/origins")
    keys = reply.json()["keys"]
    file = keys["daemon.data_dir"]["origin"].removesuffix(":2")
    assert keys["memory.top_k"]["value"] == 15
    assert "overlay.toml:" in keys["memory.top_k"]["origin"]
    assert keys["memory.top_k"]["hides"] == [f"{file}:4"]
    assert keys["agent.max_turns"] == {"value": 9, "origin": "PRX__AGENT__MAX_TURNS"}
    assert keys["agent.max_tool_calls_per_turn"] == {"value": 10, "origin": "default"}
    assert keys["gateway.port"]["value"] == 3120
    assert keys["gateway.port"]["after_restart"] == 1
    assert keys["channels_config.x.bot_token"] == {"value": MASK, "origin": f"{file}:6"}
    assert b"hunter2" not in reply.body


async def test_reading_and_changing_need_their_scopes(api: Api) -> None:
    tokens: TokenStore = api.tokens
    viewer, _ = tokens.create("viewer", role="viewer")
    operator, _ = tokens.create("operator", role="operator")
    assert (await api.get("/api/v1/config", token=viewer)).status == 200
    for token in (viewer, operator):
        reply = await patch(api, {"memory.top_k": 2}, token=token)
        assert (reply.status, reply.error["details"]) == (403, {"scope": "config:write"})


async def test_changes_have_a_rate_limit_of_their_own(api: Api) -> None:
    replies = [await patch(api, {"memory.top_k": n}) for n in range(1, 7)]
    assert [reply.status for reply in replies] == [200] * 5 + [429]


async def test_a_change_while_a_file_is_wrong_is_a_conflict_that_names_it(api: Api) -> None:
    file = api.live.sources.files()[0]
    text = file.read_text()
    file.write_text(f"{text}\n[memory]\n")
    reply = await patch(api, {"agent.max_turns": 2})
    assert (reply.status, reply.error["code"]) == (409, "conflict")
    assert f"{file}: not valid TOML" in reply.error["message"]
    file.write_text(text)
    assert (await patch(api, {"agent.max_turns": 2})).status == 200


async def test_a_secret_that_is_refused_is_not_repeated(api: Api) -> None:
    body = {"provider.api_key": [{"hunter2": "hunter2"}], "provider.base_url": ["https://u:hunter2@h/"]}
    reply = await patch(api, body)
    assert reply.status == 400
    assert "hunter2" not in json.dumps(reply.error)
