"""Scripts that complete a command's verbs and options in a shell, made of its argparse tree."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a verb.

    Attributes:
        names: As typed, such as `-o` and `--output`.
        choices: Of its value; empty where it takes any, or none.
        takes_value: Whether a value follows.
    """

    names: tuple[str, ...]
    choices: tuple[str, ...]
    takes_value: bool


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script of a command for a shell, a key of `SHELLS`."""
    return SHELLS[shell](parser.prog, _verbs(parser))


def _verbs(parser: argparse.ArgumentParser) -> dict[str, list[Option]]:
    """Return the options of each verb; argparse has no public way to ask for them."""
    verbs: dict[str, list[Option]] = {}
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            verbs |= {name: list(_options(each)) for name, each in action.choices.items()}
    return verbs


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:  # noqa: SLF001
        if action.option_strings:
            choices = tuple(map(str, action.choices or ()))
            yield Option(tuple(action.option_strings), choices, action.nargs != 0)


def _bash(prog: str, verbs: dict[str, list[Option]]) -> str:
    function = f"_{prog.replace('-', '_')}"
    values = [
        f"    {verb}:{name}) words='{' '.join(option.choices)}' ;;"
        for verb, options in verbs.items()
        for option in options
        if option.takes_value
        for name in option.names
    ]
    names = [
        f"    {verb}) words='{' '.join(name for option in options for name in option.names)}' ;;"
        for verb, options in verbs.items()
    ]
    # An empty list leaves the word to the shell, which completes the names of files.
    return "\n".join(
        [
            f"{function}() {{",
            '  local current="${COMP_WORDS[COMP_CWORD]}" words=""',
            '  local verb="${COMP_WORDS[1]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
            '  if [ "$COMP_CWORD" -eq 1 ]; then',
            f"    words='{' '.join(verbs)} --help'",
            '  else case "$verb:$before" in',
            *values,
            '  *) case "$current" in -*) case "$verb" in',
            *names,
            "    esac ;; esac ;;",
            "  esac; fi",
            '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "}",
            f"complete -o default -F {function} {prog}",
            "",
        ]
    )


def _zsh(prog: str, verbs: dict[str, list[Option]]) -> str:
    return f"autoload -U +X bashcompinit && bashcompinit\n{_bash(prog, verbs)}"


def _fish(prog: str, verbs: dict[str, list[Option]]) -> str:
    lines = [f"complete -c {prog} -n __fish_use_subcommand -f -a '{' '.join(verbs)}'"]
    for verb, options in verbs.items():
        start = f"complete -c {prog} -n '__fish_seen_subcommand_from {verb}'"
        for option in options:
            names = [
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            ]
            value = " -r" if option.takes_value else ""
            value += f" -f -a '{' '.join(option.choices)}'" if option.choices else ""
            lines.append(f"{start} {' '.join(names)}{value}")
    return "\n".join([*lines, ""])


SHELLS: dict[str, Callable[[str, dict[str, list[Option]]], str]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
