"""The command line: `main` in parser.py, one file per kind of command, options they share in options.py."""

from bend_hf.cli.parser import build_parser, main

__all__ = ["build_parser", "main"]
