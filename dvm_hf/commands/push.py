"""`dvm push`: options in, the report in words or JSON out."""

import dataclasses
import json
import sys
from pathlib import Path

import click
from datasets.utils import tqdm

from dvm_hf.commands.prepare import NamedPath
from dvm_hf.hub.local_files import total_bytes
from dvm_hf.hub.push import Report, push
from dvm_hf.wording import counted, in_bytes

NAMED_FILES = 10  # of a list, in words


@click.command("push")
@click.argument("out", type=NamedPath(path_type=Path))
@click.argument("repo_id")
@click.option("--public", is_flag=True, help="Let anybody see it. Adobe's images may not be passed on.")
@click.option("--yes", is_flag=True, help="Answer yes to the question before a first public push.")
@click.option("--revision", metavar="R", help="Branch to push to, made where it is missing (default: main).")
@click.option("--create-pr", is_flag=True, help="Open a pull request instead of committing to main.")
@click.option("--dry-run", is_flag=True, help="List files and bytes that would be sent or deleted; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object, and nothing else.")
def push_command(
    out: Path,
    repo_id: str,
    *,
    public: bool,
    yes: bool,
    revision: str | None,
    create_pr: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send prepared shards to the Hub.

    OUT is a folder that `dvm prepare` made, REPO_ID the dataset's NAMESPACE/NAME. It is made private unless --public is
    said. Nothing can be seen before all of it can; a push that was cut short goes on where it stopped. Afterwards some
    rows are read back and compared. The token is that of `hf auth login`, or HF_TOKEN.

    Example: dvm push prepared alice/my-mattes --dry-run
    """
    with tqdm(total=total_bytes(out), unit="B", unit_scale=True, desc="Hashing", delay=2, leave=False) as bar:

        def say(text: str) -> None:
            bar.close()  # hashing is over when there is more to say
            click.echo(text, err=True)

        report = push(
            out,
            repo_id,
            public=public,
            revision=revision,
            create_pr=create_pr,
            dry_run=dry_run,
            confirm=lambda question: yes or _asked(question),
            say=say,
            hashed=bar.update,
        )
    click.echo(json.dumps(dataclasses.asdict(report)) if as_json else _in_words(report, dry_run=dry_run))


def _asked(question: str) -> bool:
    """The answer at the terminal; no where nobody can be asked."""
    return is_at_a_terminal() and click.confirm(question, err=True)


def is_at_a_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


def _in_words(report: Report, *, dry_run: bool) -> str:
    send, delete = ("Would send", "Would delete") if dry_run else ("Sent", "Deleted")
    sent, there = counted(len(report.sent), "file"), "is" if report.unchanged == 1 else "are"
    lines = [f"{send} {sent}, {in_bytes(report.sent_bytes)}; {report.unchanged:,} {there} there already."]
    lines += _listed(report.sent) if dry_run else []
    if report.replaced:
        replace = "Would replace" if dry_run else "Replaced"
        lines += [f"{replace} {len(report.replaced)} of them:", *_listed(report.replaced, all_of=dry_run)]
    if report.deleted:
        lines += [
            f"{delete} {counted(len(report.deleted), 'file')} of an older push:",
            *_listed(report.deleted, all_of=dry_run),
        ]
    if report.left_here:
        lines += ["Not part of the dataset, left here:", *_listed(report.left_here)]
    seen_by = "public" if report.public else "private"
    lines += [f"{'To' if dry_run else 'At'} {report.pull_request or report.url} ({seen_by})"]
    if not dry_run:
        lines += [
            f"Commit {report.commit}; {counted(report.rows_compared, 'row')} read back and equal to the local data."
        ]
    return "\n".join(lines)


def _listed(names: tuple[str, ...], *, all_of: bool = True) -> list[str]:
    shown = names if all_of else names[:NAMED_FILES]
    more = [f"  and {len(names) - len(shown)} more"] if len(shown) < len(names) else []
    return [f"  {name}" for name in shown] + more
