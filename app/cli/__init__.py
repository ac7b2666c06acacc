"""The command `citycard`: run the city, and do what a phone, a scanner or an auditor does."""

import click

from app.cli import auditing, demo, machines, phone, running, scanner, verifying, walking


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """One API for the city's cards: facts in, entitlements out, signed cards that any venue can check."""


for module in (demo, walking, phone, scanner, machines, running, auditing, verifying):
    for command in module.COMMANDS:
        main.add_command(command)
