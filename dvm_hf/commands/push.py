"""`dvm push`: upload a prepared folder and print a report, as text or JSON."""

import dataclasses
import json
import sys
from pathlib import Path

import click
from datasets.utils import tqdm

from dvm_hf.commands.config_options import PreparedLocation, json_option
from dvm_hf.errors import HubError
from dvm_hf.hub.local_files import total_bytes
from dvm_hf.hub.push import Report, push
from dvm_hf.wording import counted, in_bytes

NAMED_FILES = 10  # printed files of a list


@click.command("push")
@click.argument("out", type=PreparedLocation(path_type=Path))
@click.argument("repo_id")
@click.option(
    "--public",
    is_flag=True,
    help="Make a new repository public. Composites of Adobe's foregrounds must not be redistributed.",
)
@click.option("--yes", is_flag=True, help="Confirm the first public push without a prompt.")
@click.option("--revision", metavar="BRANCH", help="Branch to push to, created if it does not exist.  [default: main]")
@click.option("--create-pr", is_flag=True, help="Open a pull request instead of committing to main.")
@click.option("--dry-run", is_flag=True, help="List the files to upload and to delete, without changing anything.")
@json_option
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
    """Upload prepared shards to the Hub.

    OUT is a folder built by dvm prepare, and REPO_ID is NAMESPACE/NAME of the dataset. New repositories are private
    unless you pass --public. Log in with hf auth login, or set HF_TOKEN.

    Up to 1,000 changed files become visible in a single commit. An interrupted push leaves nothing that can be loaded;
    run the same command again to resume it. After the commit, dvm push loads a few rows from the Hub and compares them
    with the local ones.

    Example: dvm push prepared alice/my-mattes --dry-run
    """
    with tqdm(total=total_bytes(out), unit="B", unit_scale=True, desc="Hashing", delay=2, leave=False) as bar:

        def say(text: str) -> None:
            bar.close()  # the first message comes when hashing is done
            click.echo(text, err=True)

        try:
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
        except HubError:
            click.echo(err=True)  # the progress bars of an upload that fails can end within a line
            raise
    click.echo(json.dumps(dataclasses.asdict(report)) if as_json else _in_words(report, dry_run=dry_run))


def _asked(question: str) -> bool:
    """Ask at the terminal; without a terminal, return False."""
    return is_at_a_terminal() and click.confirm(question, err=True)


def is_at_a_terminal() -> bool:
    """Return whether a user can answer a prompt."""
    return sys.stdin.isatty()


def _in_words(report: Report, *, dry_run: bool) -> str:
    send, delete = ("Would upload", "Would delete") if dry_run else ("Uploaded", "Deleted")
    lines = [
        f"{send} {counted(len(report.sent), 'file')}, {in_bytes(report.sent_bytes)}; {report.unchanged:,} unchanged."
    ]
    lines += _listed(report.sent) if dry_run else []
    if report.replaced:
        replace = "Would replace" if dry_run else "Replaced"
        lines += [f"{replace} {len(report.replaced)} of them:", *_listed(report.replaced, all_of=dry_run)]
    if report.deleted:
        lines += [
            f"{delete} {counted(len(report.deleted), 'file')} of the previous push:",
            *_listed(report.deleted, all_of=dry_run),
        ]
    if report.left_here:
        lines += ["Not uploaded, because they are not part of the dataset:", *_listed(report.left_here)]
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
