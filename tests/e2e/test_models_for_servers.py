"""An MCP server of a real daemon has the daemon's language model answer, over the model's real protocol."""

import json
import sys
from pathlib import Path

from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import call
from tests.e2e.test_language_models import CHAT, KEY, configuration, models
from tests.e2e.test_scraping import scraped
from tests.integration.mcp.test_asking_servers import SCRIPT
from tests.support.model_dialects import Said
from tests.support.waiting import wait_until


def test_a_server_asks_the_model_and_is_held_to_its_budget_over_restarts(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    with models() as server:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "prx.toml").write_text(
            configuration(server)
            + f"""
[mcp.servers.one]
command = {json.dumps(sys.executable)}
args = {json.dumps([str(SCRIPT)])}
startup_timeout_ms = 60000
[mcp.servers.one.sampling]
tokens_per_day = 60
"""
        )
        question = json.dumps({"what": ["sampling/createMessage"]})
        for life in range(2):
            daemon = start_daemon(environment={"HOUSE_KEY": KEY})
            url, token = daemon.event("ready")["url"], daemon.token()
            wait_until(lambda url=url, token=token: call(f"{url}/mcp/one", token)[1]["status"] == "connected")
            if life == 0:
                server.replies.append(CHAT.answer(Said(["Hello", " there"], input=50, output=9)))
                found = json.loads(daemon.prx("mcp", "call", "one", "ask", question))
                answer = found["answers"]["sampling/createMessage"]
                assert (answer["content"]["text"], answer["stopReason"]) == ("Hello there", "endTurn")
            else:
                result = call(f"{url}/tools/mcp__one__ask/call", token, {"arguments": json.loads(question)})[
                    1
                ]
                assert "mcp:one has used 59 of the 60 tokens" in result["error"]["message"]
            _, values = scraped(url.replace("/api/v1", "/metrics"), token)
            assert values["prx_sampling_tokens_today{source=mcp:one}"] == 59
            assert daemon.stop() == 0
        (received,) = server.received
        assert received.body["messages"] == [{"role": "user", "content": "Hi"}]
        assert received.body["model"] == "large"
