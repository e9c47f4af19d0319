"""An unmodified python-telegram-bot against the Bot API at argv[1], with the token argv[2].

Runs in an environment of its own. It echoes what users say, and prints a line of JSON for each thing that it found out.
"""

import asyncio
import json
import sys

from telegram import Bot, InputFile, Update
from telegram.constants import ChatAction
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, RetryAfter, TelegramError
from telegram.ext import Application, ContextTypes, MessageHandler, filters

BASE, TOKEN = sys.argv[1], sys.argv[2]


def tell(what, **found):
    print(json.dumps({"what": what, **found}), flush=True)


async def refused(kind, call):
    try:
        await call
    except kind as error:
        return str(error)
    raise AssertionError(f"expected {kind.__name__}")


def bot(token=TOKEN):
    return Bot(token, base_url=f"{BASE}/bot", base_file_url=f"{BASE}/file/bot")


async def explore(update: Update, context: ContextTypes.DEFAULT_TYPE):
    chat = update.effective_chat.id
    client = context.bot
    me = await client.get_me()
    tell("me", username=me.username, id=me.id)
    await client.send_chat_action(chat, ChatAction.TYPING)
    sent = await client.send_message(chat, "<b>bold</b> &amp; <code>x</code>", parse_mode="HTML")
    tell("sent", text=sent.text)
    edited = await client.edit_message_text("other", chat_id=chat, message_id=sent.message_id)
    tell("edited", text=edited.text)
    again = client.edit_message_text("other", chat_id=chat, message_id=sent.message_id)
    tell("unchanged", error=await refused(BadRequest, again))
    tell("entities", error=await refused(BadRequest, client.send_message(chat, "<b>open", parse_mode="HTML")))
    tell("long", error=await refused(BadRequest, client.send_message(chat, "\N{GRINNING FACE}" * 2049)))
    whole = await client.send_message(chat, "\N{GRINNING FACE}" * 2048)
    tell("whole", units=len(whole.text.encode("utf-16-le")) // 2)
    tell("empty", error=await refused(BadRequest, client.send_message(chat, " ")))
    file = await client.send_document(chat, InputFile(b"content", filename="a.txt"), caption="see")
    got = await client.get_file(file.document.file_id)
    tell("file", name=file.document.file_name, content=bytes(await got.download_as_bytearray()).decode())
    photo = await client.send_photo(chat, InputFile(b"\x89PNG", filename="a.png"))
    tell("photo", size=photo.photo[-1].file_size)
    tell("gone", error=await refused(Forbidden, client.send_message(999, "hello")))
    webhook = await client.get_webhook_info()
    tell("webhook", url=webhook.url)


async def echo(update: Update, context: ContextTypes.DEFAULT_TYPE):
    message = update.effective_message
    entities = [[entity.type, entity.offset, entity.length] for entity in message.entities]
    tell("heard", text=message.text, sender=message.from_user.id, entities=entities)
    if message.text == "explore":
        await explore(update, context)
    else:
        await message.reply_text(message.text)


async def failed(_update, context: ContextTypes.DEFAULT_TYPE):
    if isinstance(context.error, RetryAfter):
        tell("throttled", secs=int(context.error.retry_after))
    else:
        tell("failed", error=repr(context.error))


def polling_failed(error: TelegramError):
    tell("conflict" if isinstance(error, Conflict) else "polling failed", error=str(error))


async def main():
    try:
        await bot("1:wrong").initialize()
    except InvalidToken as error:
        tell("invalid", error=str(error))
    app = Application.builder().token(TOKEN).base_url(f"{BASE}/bot").base_file_url(f"{BASE}/file/bot").build()
    app.add_handler(MessageHandler(filters.TEXT, echo))
    app.add_error_handler(failed)
    async with app:
        await app.updater.start_polling(timeout=5, error_callback=polling_failed)
        await app.start()
        tell("ready")
        await asyncio.to_thread(sys.stdin.read)
        await app.updater.stop()
        await app.stop()


asyncio.run(main())
