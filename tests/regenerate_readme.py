"""Write the README's generated tables anew: `python -m tests.regenerate_readme`."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from curate import contract

README = Path(__file__).resolve().parents[1] / "README.md"
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.S)


def commands() -> str:
    """Every command with its first sentence."""
    from curate.cli.main import app

    lines = ["| command | what it does |", "| --- | --- |"]
    group = typer.main.get_group(app)
    for name, command in group.commands.items():
        first = (command.help or "").split("\n")[0]
        lines.append(f"| `curate {name}` | {first} |")
    return "\n".join(lines)


def person() -> str:
    """The columns that say something of a person or a place."""
    lines = ["| table | column | what it says | why it counts |", "| --- | --- | --- | --- |"]
    for name in ("studies", "series"):
        lines += [
            f"| {name} | `{column.name}` | {column.description} | {column.why} |"
            for column in contract.table(name).columns
            if column.role == "quasi-identifier"
        ]
    return "\n".join(lines)


def profile() -> str:
    """What happens to attributes, by action."""
    from curate.deid import explain
    from curate.policies import Policy

    return explain.markdown(Policy()).strip()


TABLES = {"commands": commands, "person": person, "profile": profile}


def generated(text: str) -> str:
    """The README with its generated blocks as the code has them now."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


if __name__ == "__main__":
    README.write_text(generated(README.read_text(encoding="utf-8")), encoding="utf-8")
