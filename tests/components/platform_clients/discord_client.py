"""An unmodified discord.py against the Discord at argv[1], with the token argv[2].

Runs in an environment of its own. It echoes what users say, and prints a line of JSON for each thing that it found out.
"""

import asyncio
import io
import json
import logging
import sys

import discord
import yarl

BASE, TOKEN = sys.argv[1], sys.argv[2]
# The only two places where discord.py has the addresses.
discord.http.Route.BASE = f"{BASE}/api/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(BASE.replace("http", "ws", 1) + "/gateway")


def tell(what, **found):
    print(json.dumps({"what": what, **found}), flush=True)


class Echo(discord.Client):
    async def on_ready(self):
        tell("ready", user=str(self.user.id), guilds=[guild.name for guild in self.guilds])

    async def on_resumed(self):
        tell("resumed")

    async def on_disconnect(self):
        tell("disconnected")

    async def on_message(self, message):
        if message.author == self.user:
            tell("own", content=message.content)
            return
        mentioned = self.user in message.mentions
        tell("heard", content=message.content, author=str(message.author.id), mentioned=mentioned)
        if message.content == "explore":
            await self.explore(message)
        else:
            await message.channel.send(message.content)

    async def explore(self, message):
        channel = message.channel
        async with channel.typing():
            sent = await channel.send("first", allowed_mentions=discord.AllowedMentions.none())
        edited = await sent.edit(content="second")
        tell("edited", content=edited.content)
        reply = await message.reply("a reply")
        tell("reply", to=str(reply.reference.message_id), asked=str(message.id))
        file = await channel.send("see", file=discord.File(io.BytesIO(b"content"), filename="a.txt"))
        content = await file.attachments[0].read()
        tell("file", name=file.attachments[0].filename, content=content.decode())
        twice = [await channel.send("once", nonce="the same") for _ in range(2)]
        tell("once", same=twice[0].id == twice[1].id, nonce=twice[1].nonce)
        for what, text in (("long", "x" * 2001), ("empty", " ")):
            try:
                await channel.send(text)
            except discord.HTTPException as error:
                tell(what, status=error.status, code=error.code)
        try:
            await self.get_partial_messageable(999).send("x")
        except discord.NotFound as error:
            tell("unknown", code=error.code)
        before = [each.content async for each in channel.history(limit=3, after=sent, oldest_first=True)]
        tell("history", contents=before)


async def main():
    logging.getLogger("discord").setLevel(logging.CRITICAL)
    try:
        async with discord.Client(intents=discord.Intents.none()) as wrong:
            await wrong.login("wrong")
    except discord.LoginFailure as error:
        tell("invalid", error=str(error))
    intents = discord.Intents.default()
    intents.message_content = True
    async with Echo(intents=intents) as client:
        task = asyncio.create_task(client.start(TOKEN))
        until = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait((task, until), return_when=asyncio.FIRST_COMPLETED)
        if task.done() and (error := task.exception()):
            tell("ended", error=type(error).__name__)
        await client.close()
        await asyncio.gather(task, return_exceptions=True)


asyncio.run(main())
