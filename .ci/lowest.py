"""Fails unless what is installed is what pyproject.toml calls lowest: no bound is lower than can be had."""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
untrue = []
for wanted in project["dependencies"]:
    name, lowest = re.match(r"([\w.-]+)>=([\w.]+)", wanted).groups()
    found = importlib.metadata.version(name)
    if found != lowest and not found.startswith(f"{lowest}."):
        untrue.append(f"{wanted}: the lowest that goes with the others is {found}")
sys.exit("\n".join(untrue) or None)
