"""The command `citycard`: run the city, and do what a phone, a scanner or an auditor does."""

from importlib import import_module

import click

_ROOMS = {
    "demo": "demo",
    "walk": "walking",
    "phone": "phone",
    "scanner": "scanner",
    "token": "machines",
    "login": "machines",
    "deliver": "machines",
    "migrate": "running",
    "migration": "running",
    "schema": "running",
    "serve": "running",
    "vault": "running",
    "jobs": "jobs",
    "audit": "auditing",
    "rules": "ruling",
    "verify-sd-jwt": "verifying",
    "offer": "offering",
    "print-batch": "printing",
    "pki": "pki",
    "revoke": "revoking",
    "status": "statuses",
    "request": "requesting",
}


class _Commands(click.Group):
    """Each command loads its own module only, so that a phone at the till need not load the whole house."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_ROOMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ROOMS:
            return None
        commands: tuple[click.Command, ...] = import_module(f"app.cli.{_ROOMS[cmd_name]}").COMMANDS
        return next(command for command in commands if command.name == cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """One API for the city's cards: facts in, entitlements out, signed cards that any venue can check."""
