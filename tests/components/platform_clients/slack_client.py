"""An unmodified slack-sdk against the Slack at argv[1], with the app's token argv[2] and the bot's argv[3].

Runs in an environment of its own. It echoes what users say, and prints a line of JSON for each thing that it found out.
"""

import asyncio
import json
import logging
import sys

from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

BASE, APP_TOKEN, BOT_TOKEN = f"{sys.argv[1]}/api/", sys.argv[2], sys.argv[3]


def tell(what, **found):
    print(json.dumps({"what": what, **found}), flush=True)


async def refused(call):
    try:
        await call
    except SlackApiError as error:
        return error.response
    raise AssertionError("expected an error")


async def explore(web, channel):
    me = await web.auth_test()
    tell("me", user=me["user_id"], scopes=me.headers["x-oauth-scopes"])
    sent = await web.chat_postMessage(channel=channel, text="first", unfurl_links=False)
    edited = await web.chat_update(channel=channel, ts=sent["ts"], text="second")
    tell("edited", text=edited["text"])
    reply = await web.chat_postMessage(channel=channel, text="in thread", thread_ts=sent["ts"])
    replies = await web.conversations_replies(channel=channel, ts=sent["ts"])
    tell(
        "replies",
        texts=[message["text"] for message in replies["messages"]],
        thread=reply["message"]["thread_ts"],
    )
    await web.files_upload_v2(channel=channel, filename="a.txt", content="content")
    tell("uploaded")
    history = await web.conversations_history(channel=channel, limit=1)
    tell("history", texts=[message["text"] for message in history["messages"]])
    tell("unknown", error=(await refused(web.chat_postMessage(channel="C9", text="x")))["error"])
    tell("long", error=(await refused(web.chat_postMessage(channel=channel, text="x" * 40_001)))["error"])


async def main():
    logging.disable(logging.CRITICAL)
    wrong = AsyncWebClient("xoxb-wrong", base_url=BASE)
    tell("invalid", error=(await refused(wrong.auth_test()))["error"])
    web = AsyncWebClient(BOT_TOKEN, base_url=BASE)
    app = AsyncWebClient(APP_TOKEN, base_url=BASE)
    client = SocketModeClient(app_token=APP_TOKEN, web_client=app, ping_interval=1)

    async def hear(client, request):
        await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        event = request.payload["event"]
        if event.get("bot_id"):
            tell("own", text=event["text"])
            return
        tell("heard", text=event["text"], user=event["user"], attempt=request.retry_attempt)
        if event["text"] == "explore":
            await explore(web, event["channel"])
            return
        try:
            await web.chat_postMessage(channel=event["channel"], text=event["text"])
        except SlackApiError as error:
            tell("throttled", error=error.response["error"], after=error.response.headers["Retry-After"])

    client.socket_mode_request_listeners.append(hear)
    await client.connect()
    tell("ready")
    await asyncio.to_thread(sys.stdin.read)
    await client.close()


asyncio.run(main())
