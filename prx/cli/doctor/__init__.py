"""`prx doctor`: what is wrong with an installation, why it matters, and what to do; with or without a daemon."""

import sys
from typing import Any

import click

from prx.cli.doctor.examination import Report, Result, examine
from prx.cli.exit_codes import ExitCode
from prx.cli.output import as_json_option, fields, show_json, styled_status


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended without a risk, and say what was done.")
@as_json_option
def doctor(*, fix: bool, as_json: bool) -> None:
    """Check the installation: configuration, files, port, plugins, connections, and the machine's limits.

    Says of everything that is wrong why it matters and what to do. Works whether the daemon runs or not. Exit code 1
    when something is wrong; advice alone does not count.
    """
    report = examine(fix=fix)
    if as_json:
        show_json(_document(report))
    else:
        click.echo(_text(report))
    sys.exit(ExitCode.DONE if report.is_healthy else ExitCode.FAILED)


def _document(report: Report) -> dict[str, Any]:
    return {
        "healthy": report.is_healthy,
        "daemon": {"running": report.pid is not None, "pid": report.pid},
        "checked": list(report.checked),
        "skipped": list(report.skipped),
        "findings": [
            {
                "check": result.check,
                "level": result.finding.level,
                "what": result.finding.what,
                "why": result.finding.why,
                "action": result.finding.action,
                "fixable": result.finding.mend is not None,
                "fixed": result.done,
                "not_fixed": result.failed,
            }
            for result in report.results
        ],
    }


def _text(report: Report) -> str:
    found = {result.check for result in report.results}
    fine = [name for name in report.checked if name not in found]
    lines = [f"{styled_status('ok')}: {', '.join(fine)}"] if fine else []
    if report.skipped:
        lines.append(f"Not checked while the configuration is wrong: {', '.join(report.skipped)}")
    lines += [_shown(result) for result in report.results]
    return "\n\n".join([*lines, _sum(report)])


def _shown(result: Result) -> str:
    finding = result.finding
    told = [("What", finding.what), ("Why", finding.why)]
    if result.done is not None:
        told.append(("Done", result.done))
    else:
        told.append(("Do", finding.action))
        if result.failed is not None:
            told.append(("Tried", f"it could not be mended: {result.failed}"))
        elif finding.mend is not None:
            told.append(("", "`prx doctor --fix` does it"))
    heading = "fixed" if result.done is not None else finding.level
    return f"{styled_status(heading)}: {result.check}\n{fields(told)}"


def _sum(report: Report) -> str:
    wrong = sum(result.is_wrong for result in report.results)
    fixed = sum(result.done is not None for result in report.results)
    advice = len(report.results) - wrong - fixed
    runs = f"The daemon runs (pid {report.pid})." if report.pid is not None else "No daemon runs."
    parts = [f"{wrong} problem{'' if wrong == 1 else 's'}" if wrong else "Nothing is wrong"]
    parts += [f"{advice} piece{'' if advice == 1 else 's'} of advice"] if advice else []
    parts += [f"{fixed} fixed"] if fixed else []
    return f"{runs} {', '.join(parts)}."
