"""Help pages with their options in sections: a command's own, then those for sources, clips and output."""

from typing import Any

import click

SECTIONS = ("Options", "Sources", "Clips", "Output")
JSON_HELP = "Print one JSON object to stdout and nothing else."


class SectionOption(click.Option):
    """An option that `SectionedCommand` lists under the heading `section`."""

    def __init__(self, *arguments: Any, section: str = SECTIONS[0], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help page lists each `SectionOption` in its section, and all other options in the first one."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections in the order of `SECTIONS`, without empty ones."""
        for section in SECTIONS:
            options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
            listed = [one for one in options if getattr(one, "section", SECTIONS[0]) == section]
            records = [record for one in listed if (record := one.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(section):
                    formatter.write_dl(records)
