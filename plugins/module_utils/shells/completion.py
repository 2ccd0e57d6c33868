# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The scripts that have a shell complete the words of a command.

A script knows nothing of the command but its name. At each Tab it runs ``NAME __complete WORD…``, whose last word is
the one to complete, and reads lines: ``files`` or ``words`` first, then a candidate in each, with a tab and what it
means. So there is one description of the commands, their parsers, and a script is never out of date.
"""

from __future__ import annotations

#: The first argument by which a script asks.
REQUEST = "__complete"

#: What the first line of the reply says: complete with the names of files, or with the candidates that follow.
FILES, WORDS = "files", "words"

# bash 3.2, which macOS has, included: no compopt there, so file names are offered where nothing else is. COMP_WORDS is
# split at "=" and ":" too; what readline replaces is only the part behind.
BASH = """\
# bash completion for @NAME@
@HEAD@
_complete_@NAME@() {
    local current=${COMP_WORDS[COMP_CWORD]} word joined="" kind="" words=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ ${#words[@]} -gt 0 && ( -n $joined || $word == [=:] ) ]]; then
            words[${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
        joined=
        [[ $word != [=:] ]] || joined=yes
    done
    [[ $current != [=:] ]] || current=
    local before=${words[${#words[@]}-1]}
    before=${before%"$current"}
    COMPREPLY=()
    {
        read -r kind
        while IFS=$'\\t' read -r word _; do
            printf -v word %q "${word#"$before"}"
            COMPREPLY+=("$word")
        done
    } < <(command @NAME@ @REQUEST@ "${words[@]}" 2>/dev/null)
    [[ $kind == @FILES@ ]] || compopt +o default 2>/dev/null
}
complete -o default -F _complete_@NAME@ @NAME@
"""

# Loaded by compinit under the name _NAME, whose call is a request; evaluated, it has to be registered.
ZSH = """\
#compdef @NAME@
@HEAD@
_@NAME@() {
    local -a before lines candidates
    local line
    (( CURRENT > 2 )) && before=("${(@Q)words[2,CURRENT-1]}")
    lines=("${(@f)$(command @NAME@ @REQUEST@ "${before[@]}" "${(Q)PREFIX}" 2>/dev/null)}")
    if [[ $lines[1] == @FILES@ ]]; then
        _files
        return
    fi
    for line in "${(@)lines[2,-1]}"; do
        candidates+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
    done
    (( $#candidates )) && _describe '' candidates
}
if [[ $funcstack[1] == _@NAME@ ]]; then
    _@NAME@ "$@"
else
    compdef _@NAME@ @NAME@
fi
"""

FISH = """\
# fish completion for @NAME@
@HEAD@
function __complete_@NAME@
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    set -l lines (command @NAME@ @REQUEST@ $words "$current" 2>/dev/null)
    if test "$lines[1]" = @FILES@
        __fish_complete_path "$current"
    else if set -q lines[2]
        printf '%s\\n' $lines[2..-1]
    end
end
complete -c @NAME@ -f -a '(__complete_@NAME@)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

#: Shell -> where it looks for the script of a command by itself, below the directory ``share`` next to that of the
#: command. zsh does so only where that is in its ``fpath`` (docs/decisions/0115-completion.md).
PLACES = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/site-functions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}


def script(shell, name, head=""):
    """The text of the script for the command ``name``, a plain file name; ``head`` is a comment's text near its top."""
    comment = "\n".join(f"# {line}" for line in head.splitlines())
    parts = {"NAME": name, "HEAD": comment, "REQUEST": REQUEST, "FILES": FILES}
    text = SCRIPTS[shell].replace("@HEAD@\n", "@HEAD@\n" if comment else "")
    for placeholder, part in parts.items():
        text = text.replace(f"@{placeholder}@", part)
    return text
