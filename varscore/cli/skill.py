"""``varscore skill``."""

from __future__ import annotations

from importlib import resources

import typer


def skill() -> None:
    """Print instructions for an assistant: how to call varscore, how to read its tags, what not to claim."""
    typer.echo(resources.files("varscore").joinpath("skill", "SKILL.md").read_text(encoding="utf-8"), nl=False)
