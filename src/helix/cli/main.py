"""The command group, and how errors become messages and exit codes.

Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration, 3 a missing extra or device, 128 + n on signal n.
Commands import what they need when they run, so that `helix --help` is quick.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

import click

import helix

# command -> module of this package that holds it, and its line in --help
COMMANDS = {
    "train": ("training", "Train by a configuration file, or on a folder of data."),
    "tune": ("tune", "Search for good settings of a configuration."),
    "resume": ("training", "Go on with a run that was stopped."),
    "eval": ("training", "Loss and metrics of a run on the samples it held back."),
    "predict": ("training", "What a run's model says of files or a text."),
    "profile": ("profile", "Time, FLOPs and memory of some training steps, by module, line or op."),
    "summary": ("summary", "Layers, parameters and FLOPs of a configuration's or run's model."),
    "estimate": ("estimate", "Memory and operations of a model before it runs; the largest batch that fits."),
    "export": ("export", "A model in the ONNX format, checked beside helix."),
    "graph": ("graph", "A model's graph as a picture, a page, or text."),
    "devices": ("machine", "Devices that helix can use here."),
    "doctor": ("machine", "The installation: versions, processor, devices, extras."),
    "plugin": ("plugin", "A first version of a package that brings a device to helix."),
    "explain": ("explain", "What an error number means."),
    "config": ("config", "Schema, resolved form, or a first configuration file."),
}


class _Commands(click.Group):
    """Finds a command's module only when that command is run."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(f"helix.cli.{COMMANDS[name][0]}")
        return module.commands[name]

    def resolve_command(self, context: click.Context, args: list[str]):
        if args and args[0] not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            context.fail(f"no such command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(helix.__version__, prog_name="helix", message="%(prog)s %(version)s")
def cli() -> None:
    """helix: train and use models, on any device it has a backend for."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; ends the process with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(arguments, prog_name="helix", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort as error:  # click's name for an interrupt
        code = _failed(error.__cause__ or KeyboardInterrupt(), "--json" in arguments)
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except BaseException as error:
        code = _failed(error, "--json" in arguments)
    sys.exit(code if isinstance(code, int) else 0)


def _failed(error: BaseException, as_json: bool) -> int:
    """Says what went wrong; returns the exit code. Unknown exceptions are bugs and keep their traceback."""
    from ..errors import ConfigError, DeviceError, HelixError, MissingExtraError

    if isinstance(error, KeyboardInterrupt):
        code = getattr(error, "exit_code", 130)
    elif isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    elif isinstance(error, (MissingExtraError, DeviceError)):
        code = 3
    elif isinstance(error, ConfigError):
        code = 2
    elif isinstance(error, (HelixError, OSError, ValueError)):
        code = 1
    else:
        code = None
    if code is None or (os.environ.get("HELIX_DEBUG") == "1" and not isinstance(error, KeyboardInterrupt)):
        raise error
    message = "\n".join([str(error) or "interrupted", *getattr(error, "__notes__", ())])
    number = getattr(error, "code", None)
    if as_json:
        click.echo(json.dumps({"error": {"code": number, "message": message}, "exit_code": code}))
    elif not isinstance(error, KeyboardInterrupt):
        more = f"\nmore: helix explain {number}" if number else ""
        click.echo(f"{message}{more}", err=True)
    return code
