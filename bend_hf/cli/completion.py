"""`completion`: what a shell needs to complete commands, options and choices, made from the parser."""

from __future__ import annotations

from argparse import Namespace

from bend_hf.cli.options import Command
from bend_hf.cli.output import Answer
from bend_hf.errors import BendError

SHELLS = ("bash", "zsh", "fish")


def add(command: Command) -> None:
    """Declare `completion`."""
    sub = command(
        "completion",
        completion,
        "print what a shell needs to complete bend-hf's words",
        "completion bash > ~/.local/share/bash-completion/completions/bend-hf",
        "completion zsh > ~/.zfunc/_bend-hf",
        "completion fish > ~/.config/fish/completions/bend-hf.fish",
    )
    sub.add_argument("shell", choices=SHELLS, help="bash, zsh or fish")


def completion(args: Namespace) -> Answer:
    """Print a shell's completion script."""
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise BendError("Completion is made by shtab: pip install 'bend_hf[completion]'.") from error
    script = str(shtab.complete(args.whole, shell=args.shell))
    return Answer(script, {"shell": args.shell, "script": script}, [script])
