"""Hooks of the configuration: they join the registered ones, keep their backlog, and are changed only there."""

from typing import Any

import pytest

from prx.config.integrations import HooksConfig
from prx.core.errors import ConflictError
from prx.webhooks.registry import MAX_HOOKS, Wanted
from tests.integration.egress.servers import reply, saying
from tests.integration.webhooks.conftest import RunStage, Stage
from tests.integration.webhooks.receiver import SECRET, receiving
from tests.support.waiting import eventually


async def change(stage: Stage, **keys: Any) -> None:
    before = HooksConfig.model_validate(stage.config)
    stage.config.update(keys)
    await stage.webhooks.reconfigured(before)


def endpoint(url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "secret": SECRET, **more}


async def test_a_hook_of_the_configuration_is_delivered_to_and_keeps_its_backlog(run_stage: RunStage) -> None:
    async with receiving(saying(reply(500))) as receiver:
        async with run_stage(endpoints=[endpoint(receiver.url)]) as stage:
            (hook,) = stage.webhooks.registry.all()
            assert (hook.origin, hook.events) == ("config", ("*",))
            await stage.happen(2)
            await receiver.has(1)
        receiver.answers = [saying(reply(200))]
        async with run_stage(endpoints=[endpoint(receiver.url)]) as stage:
            assert [each.id for each in stage.webhooks.registry.all()] == [hook.id]
            await stage.settled(hook, ["delivered"] * 2)


async def test_only_the_configuration_changes_or_removes_it(run_stage: RunStage) -> None:
    async with run_stage(endpoints=[endpoint("https://1.1.1.1/")]) as stage:
        (hook,) = stage.webhooks.registry.all()
        with pytest.raises(ConflictError, match=r"\[\[hooks\.endpoints\]\]"):
            await stage.webhooks.registry.change(hook.id, Wanted(active=False))
        with pytest.raises(ConflictError, match=r"\[\[hooks\.endpoints\]\]"):
            await stage.webhooks.registry.remove(hook.id)


async def test_a_change_of_the_configuration_acts_on_the_hooks_that_it_concerns(run_stage: RunStage) -> None:
    one, two = endpoint("https://1.1.1.1/"), endpoint("https://1.0.0.1/")
    async with run_stage(endpoints=[one, two]) as stage:
        first, second = stage.webhooks.registry.all()
        await change(stage, endpoints=[{**two, "events": ["session.created"]}, {**two, "enabled": False}])
        kept, new = stage.webhooks.registry.all()
        assert (kept.id, kept.events, kept.active) == (second.id, ("session.created",), True)
        assert (new.url, new.active) == (second.url, False)
        assert first.id not in {kept.id, new.id}
        await change(stage, endpoints=[])
        assert stage.webhooks.registry.all() == []


async def test_one_that_was_switched_off_is_tried_afresh_when_its_table_changes(run_stage: RunStage) -> None:
    async with (
        receiving(saying(reply(410)), saying(reply(200))) as receiver,
        run_stage(endpoints=[endpoint(receiver.url)]) as stage,
    ):
        await stage.happen(1)
        await eventually(lambda: not stage.webhooks.registry.all()[0].active)
        await change(stage, timeout_secs=5)
        assert not stage.webhooks.registry.all()[0].active
        await change(stage, endpoints=[endpoint(receiver.url, events=["session.created"])])
        assert stage.webhooks.registry.all()[0].active
        await receiver.has(2)


async def test_another_secret_in_the_configuration_overlaps_with_the_one_before(run_stage: RunStage) -> None:
    newer = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    async with receiving() as receiver, run_stage(endpoints=[endpoint(receiver.url)]) as stage:
        await change(stage, endpoints=[endpoint(receiver.url) | {"secret": newer}])
        await stage.happen(1)
        await receiver.has(1)  # who knows only the old one still accepts
        assert len(receiver.requests[0].values("webhook-signature")[0].split()) == 2


async def test_a_table_for_which_there_is_no_room_is_a_problem_and_hinders_no_other(
    run_stage: RunStage,
) -> None:
    tables = [endpoint(f"https://1.1.1.1/{number}") for number in range(MAX_HOOKS + 1)]
    async with run_stage(endpoints=tables) as stage:
        assert len(stage.webhooks.registry.all()) == MAX_HOOKS
        (problem,) = stage.webhooks.problems()
        assert (problem.unit, "registered already" in problem.reason) == (
            f"hooks.endpoints.{MAX_HOOKS}",
            True,
        )
        await change(stage, endpoints=tables[1:])
        assert (len(stage.webhooks.registry.all()), stage.webhooks.problems()) == (MAX_HOOKS, [])
