"""`dvm push`: upload a prepared folder or a source tree, and print a report, as text or JSON."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import click
from datasets.utils import tqdm

from dvm_hf.commands.config_options import PreparedLocation, json_option
from dvm_hf.errors import ConfigError, HubError
from dvm_hf.hub.local_files import total_bytes
from dvm_hf.hub.push import Report, push
from dvm_hf.hub.source_push import SourceReport, push_sources
from dvm_hf.prepared.storage.storage import storage_of
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
@click.option(
    "--sources",
    is_flag=True,
    help="OUT is a source folder or a sources file (.yaml), which is pushed to a private repository.",
)
@click.option("--yes", is_flag=True, help="Confirm a first public push, or deletions of --sources, without a prompt.")
@click.option("--revision", metavar="BRANCH", help="Branch to push to, created if it does not exist.  [default: main]")
@click.option("--create-pr", is_flag=True, help="Open a pull request instead of committing to main.")
@click.option("--dry-run", is_flag=True, help="List the files to upload and to delete, without changing anything.")
@json_option
def push_command(
    out: Path,
    repo_id: str,
    *,
    public: bool,
    sources: bool,
    yes: bool,
    revision: str | None,
    create_pr: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload prepared shards, or the sources themselves, to the Hub.

    OUT is a folder built by dvm prepare, and REPO_ID is NAMESPACE/NAME of the dataset. New repositories are private
    unless you pass --public. Log in with hf auth login, or set HF_TOKEN.

    Up to 1,000 changed files become visible in a single commit. An interrupted push leaves nothing that can be loaded;
    run the same command again to resume it. After the commit, dvm push loads a few rows from the Hub and compares them
    with the local ones.

    With --sources, OUT is a source folder or a sources file. Its sources, lists and terms are sent to a private
    repository, whose address is then a data_dir on any machine: hf://datasets/REPO_ID, or
    hf://datasets/REPO_ID/sources.yaml for a sources file.

    Example: dvm push prepared alice/my-mattes --dry-run

    Example: dvm push DVM alice/my-sources --sources
    """
    if sources:
        _require_only_sources(out, public=public, create_pr=create_pr)
        made = _pushed_sources(out, repo_id, yes=yes, revision=revision, dry_run=dry_run)
        click.echo(json.dumps(dataclasses.asdict(made)) if as_json else _sources_in_words(made, dry_run=dry_run))
        return
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


def _require_only_sources(out: Path, *, public: bool, create_pr: bool) -> None:
    for option, is_given in (("--public", public), ("--create-pr", create_pr)):
        if is_given:
            raise ConfigError(f"{option} with --sources: sources go to a branch of a private repository; omit {option}")
    if not storage_of(out).is_local:
        raise ConfigError(f"{out} with --sources: is an address; pass a folder or a sources file of this machine")


def _pushed_sources(data_dir: Path, repo_id: str, *, yes: bool, revision: str | None, dry_run: bool) -> SourceReport:
    with tqdm(unit="B", unit_scale=True, desc="Reading", delay=2, leave=False) as bar:

        def say(text: str) -> None:
            bar.clear()
            click.echo(text, err=True)

        try:
            return push_sources(
                Path(os.path.abspath(data_dir.expanduser())),
                repo_id,
                revision=revision,
                dry_run=dry_run,
                confirm=lambda question: yes or _asked(question),
                say=say,
                hashed=bar.update,
            )
        except HubError:
            click.echo(err=True)
            raise


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


def _sources_in_words(report: SourceReport, *, dry_run: bool) -> str:
    send, delete, to = ("Would upload", "Would delete", "To") if dry_run else ("Uploaded", "Deleted", "At")
    sent = counted(len(report.sent), "file")
    lines = [f"{send} {sent}, {in_bytes(report.sent_bytes)}; {report.unchanged:,} unchanged."]
    lines += _listed(report.sent) if dry_run else []
    if report.deleted:
        lines += [f"{delete} {counted(len(report.deleted), 'file')}:", *_listed(report.deleted, all_of=dry_run)]
    lines += [f"{to} {report.url} (private)", f'Load with data_dir="{report.address}"']
    return "\n".join([*lines, f"Commit {report.commit}"] if report.commit else lines)


def _listed(names: tuple[str, ...], *, all_of: bool = True) -> list[str]:
    shown = names if all_of else names[:NAMED_FILES]
    more = [f"  and {len(names) - len(shown)} more"] if len(shown) < len(names) else []
    return [f"  {name}" for name in shown] + more
