"""A mail server: Postfix takes mail, Dovecot keeps it and lets it be read."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.servers.ports import reserved_port
from tests.support.servers.process import ServerProcess, program, server_directory

DOMAIN: Final = "test.example"
PASSWORD: Final = "open-sesame"  # noqa: S105  # of a server that lives for a test
_MASTER: Final = "/usr/lib/postfix/sbin/master"
_QUEUES: Final = (
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace",
)  # fmt: skip
_DIRECTORIES: Final = [
    ("dovecot", "root", 0o755),
    ("postfix", "root", 0o755),
    ("mail", "dovecot", 0o700),
    ("data", "postfix", 0o700),
    ("queue", "root", 0o755),
    ("queue/pid", "root", 0o755),
    ("queue/maildrop", "postfix:postdrop", 0o1730),
    ("queue/public", "postfix:postdrop", 0o2710),
    *((f"queue/{name}", "postfix", 0o700) for name in _QUEUES),
]
_DOVECOT: Final = """
base_dir = {directory}/run
state_dir = {directory}/state
log_path = /dev/stderr
protocols = imap lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = plain login
mail_location = maildir:{directory}/mail/%n
mail_uid = dovecot
mail_gid = dovecot
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=dovecot gid=dovecot home={directory}/mail/%n allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service auth {{
  unix_listener {directory}/auth {{
    mode = 0666
  }}
}}
# Whoever had a wrong password once is not made to wait.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
_POSTFIX: Final = """
compatibility_level = 3.6
maillog_file = {directory}/postfix/output.log
maillog_file_prefixes = {directory}
queue_directory = {directory}/queue
data_directory = {directory}/data
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.{domain}
mydestination =
mynetworks =
local_recipient_maps =
alias_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = static:all
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
smtpd_sasl_type = dovecot
smtpd_sasl_path = {directory}/auth
smtpd_sasl_auth_enable = yes
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {certificate}
smtpd_tls_security_level = may
smtpd_peername_lookup = no
smtpd_recipient_restrictions = permit_sasl_authenticated, permit_auth_destination, reject
"""
# Without its usual chroot: nothing of the system is copied into the queue's directory.
_SERVICES: Final = """
{smtp} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True)
class MailServer:
    """The two halves of it, each a process group of its own."""

    dovecot: ServerProcess
    postfix: ServerProcess
    imaps: int
    """Its port of IMAP over TLS; `dovecot.port` is that of IMAP with STARTTLS."""


@contextmanager
def mail_server(certificate: Path) -> Iterator[MailServer]:
    """Run it; everybody of `DOMAIN` has a mailbox, and `PASSWORD`."""
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root alone, so nothing is tested against it: run the tests as root")
    program("postfix", "postfix")
    with (
        server_directory() as directory,
        reserved_port() as imap,
        reserved_port() as imaps,
        reserved_port() as lmtp,
        reserved_port() as smtp,
    ):
        names = {
            "directory": directory, "password": PASSWORD, "certificate": certificate, "domain": DOMAIN,
            "imap": imap, "imaps": imaps, "lmtp": lmtp, "smtp": smtp,
        }  # fmt: skip
        (directory / "dovecot.conf").write_text(_DOVECOT.format(**names))
        (directory / "main.cf").write_text(_POSTFIX.format(**names))
        (directory / "master.cf").write_text(_SERVICES.format(**names))
        for name, owner, mode in _DIRECTORIES:
            (directory / name).mkdir()
            (directory / name).chmod(mode)
            shutil.chown(directory / name, *owner.split(":"))
        with (
            ServerProcess(
                [
                    program("dovecot", "dovecot-imapd dovecot-lmtpd"),
                    "-F",
                    "-c",
                    str(directory / "dovecot.conf"),
                ],
                directory=directory / "dovecot",
                ports=(imap, imaps, lmtp),
            ) as dovecot,
            ServerProcess(
                # With -d it stays in its process group, and in the foreground.
                [_MASTER, "-d", "-c", str(directory)],
                directory=directory / "postfix",
                environment={"MAIL_CONFIG": str(directory)},
                ports=(smtp,),
            ) as postfix,
        ):
            yield MailServer(dovecot, postfix, imaps)
