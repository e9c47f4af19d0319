"""Secrets of hooks at rest: sealed in the store, and a hook whose secret cannot be read says so and sends nothing."""

from pathlib import Path

import pytest

from prx.core.errors import ConflictError
from prx.webhooks.registry import Wanted
from tests.integration.webhooks.conftest import RunStage
from tests.integration.webhooks.receiver import SECRET, receiving


def contents(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.rglob("*") if file.is_file())


async def test_no_file_has_a_secret_in_plain_text(run_stage: RunStage, tmp_path: Path) -> None:
    async with run_stage() as stage:
        await stage.register("https://1.1.1.1/")
        _, made = await stage.webhooks.registry.register("https://1.1.1.1/", ["*"], None)
        assert made is not None
    written = contents(tmp_path)
    assert b"1.1.1.1" in written
    assert SECRET.removeprefix("whsec_").encode() not in written
    assert made.removeprefix("whsec_").encode() not in written


@pytest.mark.parametrize("damage", ["gone", "damaged", "another"])
async def test_a_hook_whose_secret_cannot_be_read_waits_for_another_one(
    run_stage: RunStage, tmp_path: Path, damage: str
) -> None:
    async with receiving() as receiver:
        async with run_stage() as stage:
            hook = await stage.register(receiver.url)
        key = tmp_path / "secrets.key"
        if damage == "gone":
            key.unlink()
        else:
            key.write_bytes(b"A" * 43 + b"=" if damage == "another" else b"A")
        async with run_stage() as stage:
            await stage.happen(1)
            (problem,) = stage.webhooks.problems()
            assert (problem.unit, "cannot be read" in problem.reason) == (f"hook.{hook.id}", True)
            with pytest.raises(ConflictError, match="cannot be read"):
                await stage.webhooks.dispatcher.test(hook)
            assert ("prx hook rotate" in problem.action) is (damage == "another")
            if damage == "another":
                await stage.webhooks.registry.change(hook.id, Wanted(secret=SECRET))
                await receiver.has(1)
                assert stage.webhooks.problems() == []
            else:
                # What the reason says.
                key.unlink(missing_ok=True)
                await stage.webhooks.registry.remove(hook.id)
                await stage.register(receiver.url)
                assert stage.webhooks.problems() == []
