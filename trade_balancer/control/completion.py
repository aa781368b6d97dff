"""What bash and zsh want to complete the words of lbctl: @VERBS@ and @LEVELS@ are put in when it is printed."""

from __future__ import annotations

_BASH = """\
_lbctl() {
    local word=${COMP_WORDS[COMP_CWORD]} at=0 i
    for ((i = 1; i < COMP_CWORD; i++)); do [[ ${COMP_WORDS[i]} == -* ]] || at=$((at + 1)); done
    case $at in
    0) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    1) mapfile -t COMPREPLY < <(compgen -W "@VERBS@" -- "$word") ;;
    *) [[ ${COMP_WORDS[COMP_CWORD - 1]} == log-level ]] && mapfile -t COMPREPLY < <(compgen -W "@LEVELS@" -- "$word") ;;
    esac
}
complete -F _lbctl lbctl
"""

_ZSH = """\
_lbctl() {
    _arguments '--json[print the answer as JSON]' '1:socket:_files' '2:verb:(@VERBS@)' '*:word:(@LEVELS@)'
}
compdef _lbctl lbctl
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH}
