"""Files of Matrix, sent and fetched, encrypted where the room is."""

import asyncio
import io
import json
from typing import Any, Final
from urllib.parse import quote, urlsplit

from nio import AsyncClient
from nio.crypto.attachments import decrypt_attachment
from nio.exceptions import EncryptionError

from prx.channels.adapters.matrix.errors import accepted
from prx.core.channel import Attachment
from prx.core.channel_errors import FileTooLargeError, UndeliverableError
from prx.core.errors import UnavailableError
from prx.core.file import File

_CHUNK: Final = 65_536
_TRANSFER_SECS: Final = 120.0


async def upload(client: AsyncClient, file: File, *, encrypted: bool) -> dict[str, Any]:
    """Send a file to the homeserver; return what an event's content has to say of it."""
    async with asyncio.timeout(_TRANSFER_SECS):
        answer, keys = await client.upload(
            io.BytesIO(file.content),
            content_type=file.media_type,
            filename=file.name,
            encrypt=encrypted,
            filesize=len(file.content),
        )
    uri = accepted(answer).content_uri
    kind = file.media_type.partition("/")[0]
    content: dict[str, Any] = {
        "msgtype": f"m.{kind}" if kind in ("image", "audio", "video") else "m.file",
        "filename": file.name,
        "info": {"mimetype": file.media_type, "size": len(file.content)},
    }
    return content | ({"file": {**keys, "url": uri}} if keys is not None else {"url": uri})


async def fetch(client: AsyncClient, attachment: Attachment, max_bytes: int) -> bytes:
    """Return the content of a file.

    Raises:
        FileTooLargeError: it has more than `max_bytes`.
        UndeliverableError: it is gone, or it is not what was sent.
        UnavailableError: the homeserver cannot serve it now.
    """
    about = json.loads(attachment.id)
    address = urlsplit(str(about["url"]))
    path = f"/_matrix/client/v1/media/download/{quote(address.netloc)}/{quote(address.path.strip('/'))}"
    async with asyncio.timeout(_TRANSFER_SECS):
        answer = await client.send("GET", path, headers={"Authorization": f"Bearer {client.access_token}"})
        async with answer:
            if answer.status != 200:  # noqa: PLR2004
                fault = UndeliverableError if answer.status in (403, 404) else UnavailableError
                raise fault(f'"{attachment.name}": the homeserver answers {answer.status}')
            content = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                content += chunk
                if len(content) > max_bytes:
                    raise FileTooLargeError(f'"{attachment.name}" has more than {max_bytes} bytes')
    keys = about["file"]
    if keys is None:
        return bytes(content)
    try:
        key, digest = keys["key"]["k"], keys["hashes"]["sha256"]
        plain: bytes = await asyncio.to_thread(decrypt_attachment, bytes(content), key, digest, keys["iv"])
    except (EncryptionError, KeyError, TypeError) as error:
        raise UndeliverableError(f'"{attachment.name}" is not what was sent: {error}') from error
    return plain
