"""The machine: time zones, and how many files and directories may be open and watched."""

import errno
import resource
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from asyncinotify import Inotify, Mask

from prx.cli.doctor.findings import Finding, Site

_ENOUGH_FILES: Final = 1024
_MUCH_USED: Final = 0.8


def time_zones(_site: Site) -> Iterator[Finding]:
    """Check that schedules can name a time zone."""
    try:
        zoneinfo.ZoneInfo("Europe/Berlin")
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError) as error:
        yield Finding(
            f"there is no time zone data: {error}",
            "cron jobs with a timezone do not run",
            "install the system's tzdata package, or `pip install tzdata` beside PRX",
        )


def open_files(site: Site) -> Iterator[Finding]:
    """Check how many files the daemon may have open; without one, how many this shell gives it."""
    limit, used = resource.getrlimit(resource.RLIMIT_NOFILE)[0], 0
    whose = "a daemon started from here"
    if site.pid is not None and site.pid.isdigit():
        process, whose = Path("/proc") / site.pid, f"the daemon (pid {site.pid})"
        try:
            limit, used = _limit_of(process), len(list((process / "fd").iterdir()))
        except OSError:  # it ended, or is another user's
            return
    if limit < _ENOUGH_FILES or used > limit * _MUCH_USED:
        yield Finding(
            f"{whose} may have {limit} files open" + (f", and has {used}" if used else ""),
            "connections, plugins and commands of MCP servers fail when there are no more",
            "raise the limit: LimitNOFILE=65536 in the systemd unit, or `ulimit -n 65536` before the start",
            "problem" if used > limit * _MUCH_USED else "advice",
        )


def watches(site: Site) -> Iterator[Finding]:
    """Check that one more directory can be watched, by doing it."""
    if not site.config.plugins.watch:
        return
    directory = site.config.plugins.directory
    number = _watch_once(directory if directory.is_dir() else Path("/"))
    keys = {errno.EMFILE: "max_user_instances", errno.ENOSPC: "max_user_watches"}
    if number in keys:
        key = f"fs.inotify.{keys[number]}"
        yield Finding(
            f"the kernel's change notices are used up ({key})",
            "changed plugins are noticed up to five seconds late",
            f"end programs that watch many files, or raise it: sysctl {key}={_raised(key)}",
            "advice",
        )


def _limit_of(process: Path) -> int:
    for line in (process / "limits").read_text().splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else resource.RLIM_INFINITY
    return resource.RLIM_INFINITY


def _watch_once(directory: Path) -> int:
    """Return 0, or the number of the error that the kernel gave."""
    try:
        with Inotify(sync_timeout=0) as trial:
            trial.add_watch(directory, Mask.CREATE)
    except OSError as error:
        return error.errno or 0
    return 0


def _raised(key: str) -> int:
    return 2 * int((Path("/proc/sys") / key.replace(".", "/")).read_text())
