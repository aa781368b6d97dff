"""What bash and zsh complete of a command's words."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from commands import help_of, metavar_of, subcommands

FILES, DIRECTORIES, COMMANDS = "files", "directories", "commands"
_BASH = {FILES: "compgen -f", DIRECTORIES: "compgen -d", COMMANDS: "compgen -c"}
_ZSH = {FILES: "_files", DIRECTORIES: "_files -/", COMMANDS: "_command_names -e"}
_KIND_OF_METAVAR = {
    **dict.fromkeys(["FILE", "FILES", "PATH"], FILES),
    **dict.fromkeys(["DIR", "DIRECTORY", "FOLDER"], DIRECTORIES),
    **dict.fromkeys(["WORKER", "PROGRAM"], COMMANDS),
}


@dataclass(frozen=True)
class Values:
    """What may stand in a place: these words, or what the shell finds; neither, where only the user knows."""

    words: tuple[str, ...] = ()
    kind: str = ""


def values_of(action: argparse.Action) -> Values:
    metavar = metavar_of(action)
    if action.choices:
        return Values(tuple(map(str, action.choices)))
    if re.fullmatch(r"[a-z-]+(\|[a-z-]+(=[A-Z]+)?)+", metavar):
        return Values(tuple(re.sub(r"=.*", "=", word) for word in metavar.split("|")))
    return Values(kind=_KIND_OF_METAVAR.get(metavar, ""))


def _parted(parser: argparse.ArgumentParser) -> tuple[list[argparse.Action], list[argparse.Action]]:
    """Options, those behind a first word included, and what stands without a name."""
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    options = {tuple(action.option_strings): action for action in actions if action.option_strings}
    for sub in subcommands(parser).values():
        options |= {tuple(action.option_strings): action for action in sub._actions if action.option_strings}
    return list(options.values()), [action for action in actions if not action.option_strings]


@dataclass(frozen=True)
class Place:
    """A word that stands without a name: its number from 0 on, or None for any further one."""

    number: int | None
    title: str
    values: Values


def _places(positionals: Sequence[argparse.Action]) -> tuple[list[Place], bool]:
    """All of them, and whether the last one starts a program, which all that follows belongs to."""
    places = []
    for number, action in enumerate(positionals):
        values, goes_on = values_of(action), action.nargs in ("*", "+")
        places.append(Place(None if goes_on else number, metavar_of(action), values))
        if values.kind == COMMANDS:
            return [*places, Place(None, "ARGS", Values(kind=FILES))], True
    return places, False


_BASH_FILE = """\
# bash completion of {command}
{function}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} place=0 i
    COMPREPLY=()
    [[ $word == "=" ]] && word=
    [[ $before == "=" ]] && before=${{COMP_WORDS[COMP_CWORD - 2]}}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
        {with_value}) [[ ${{COMP_WORDS[i + 1]}} == "=" ]] && i=$((i + 1)); i=$((i + 1)) ;;
        -?*) ;;
        *) place=$((place + 1)) ;;
        esac
    done
    if ((place < {places})); then
        case $before in
{of_options}
        esac
        if [[ $word == -* ]]; then mapfile -t COMPREPLY < <(compgen -W "{names}" -- "$word"); return; fi
    fi
    case $place in
{of_places}
    esac
}}
complete -F {function} {command}
"""
_NEVER = 1000
"""More words than anybody writes: where no program's arguments follow, options may stand anywhere."""


def bash(parser: argparse.ArgumentParser) -> str:
    """A file for share/bash-completion/completions."""
    options, positionals = _parted(parser)
    valued = {"|".join(action.option_strings): values_of(action) for action in options if action.nargs != 0}
    places, starts_a_program = _places(positionals)
    return _BASH_FILE.format(
        command=parser.prog,
        function="_" + re.sub(r"\W", "_", parser.prog),
        with_value="|".join(valued) or '""',
        places=len(places) - 1 if starts_a_program else _NEVER,
        of_options="\n".join(f"        {names}) {_bash_find(values)}return ;;" for names, values in valued.items()),
        names=" ".join(name for action in options for name in action.option_strings),
        of_places="\n".join(
            f"    {'*' if place.number is None else place.number}) {_bash_find(place.values)};;" for place in places
        ),
    )


def _bash_find(values: Values) -> str:
    """A command that puts what is found into COMPREPLY, and what parts it from the next."""
    if not values.words and not values.kind:
        return ""
    found = f'compgen -W "{" ".join(values.words)}"' if values.words else _BASH[values.kind]
    are_names = "compopt -o filenames; " if values.kind in (FILES, DIRECTORIES) else ""
    return f'{are_names}mapfile -t COMPREPLY < <({found} -- "$word"); '


def zsh(parser: argparse.ArgumentParser) -> str:
    """A file for share/zsh/site-functions."""
    options, positionals = _parted(parser)
    specs = []
    for action in options:
        repeats = "*" if isinstance(action, argparse._AppendAction) else ""
        value = f":{_zsh_text(metavar_of(action))}:{_zsh_values(values_of(action))}" if action.nargs != 0 else ""
        specs += [f"{repeats}{name}[{_zsh_text(help_of(parser, action))}]{value}" for name in action.option_strings]
    for place in _places(positionals)[0]:
        where = "*" if place.number is None else place.number + 1
        specs.append(f"{where}:{_zsh_text(place.title)}:{_zsh_values(place.values)}")
    return "\n".join([f"#compdef {parser.prog}", " \\\n    ".join(["_arguments", *map(_quoted, specs)]), ""])


def _zsh_values(values: Values) -> str:
    return f"({' '.join(values.words)})" if values.words else _ZSH.get(values.kind, " ")


def _zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def files_of(parsers: Iterable[argparse.ArgumentParser]) -> dict[str, str]:
    """The files of all commands, by their path below share/."""
    found = {}
    for parser in parsers:
        found[f"bash-completion/completions/{parser.prog}"] = bash(parser)
        found[f"zsh/site-functions/_{parser.prog}"] = zsh(parser)
    return found
