// Completion scripts for bash, zsh and fish. They ask the program for the words, so they do not
// depend on the table.

enum CompletionScripts {
  /// - Parameters:
  ///   - script: one of the scripts below
  ///   - programs: the programs to complete; the first one names the script's functions
  static func text(_ script: String, for programs: [String]) -> String {
    script.replacingWord("PROGRAMS", by: programs.joined(separator: " "))
      .replacingWord("PROGRAM", by: programs.first ?? "")
  }

  static let bash = #"""
    # bash completion for PROGRAM, which is asked for the words.
    # shellcheck shell=bash

    _PROGRAM() {
        local line=$COMP_LINE words=() answer=() part index word cut path
        # bash cuts words at each of $COMP_WORDBREAKS, as at : and =. Here they are whole again.
        for ((index = 0; index <= COMP_CWORD; index++)); do
            part=${COMP_WORDS[index]}
            if ((index > 0)) && [[ $line != [[:space:]]* ]]; then
                words[-1]+=$part
            else
                words+=("$part")
            fi
            line=${line#"${line%%[![:space:]]*}"}
            line=${line#"$part"}
        done
        word=${words[-1]}
        # Only what stands behind the last cut is replaced.
        cut=${word%"${word##*["$COMP_WORDBREAKS"]}"}
        path=${word#"$cut"}
        COMPREPLY=()
        mapfile -t answer < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2>/dev/null)
        for part in "${answer[@]}"; do
            case $part in
            :files) compopt -o filenames && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$path") ;;
            :folders) compopt -o filenames && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$path") ;;
            :programs) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -c -A file -- "$path") ;;
            *) part=${part%%$'\t'*} && COMPREPLY+=("${part#"$cut"}") ;;
            esac
        done
        [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *[:=.] ]] || compopt -o nospace
    }

    complete -F _PROGRAM PROGRAMS
    """#

  static let zsh = #"""
    #compdef PROGRAMS
    # zsh completion for PROGRAM, which is asked for the words.

    _PROGRAM() {
        local line entry
        local -a lines entries open_entries
        lines=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
        for line in "${lines[@]}"; do
            case $line in
            '') ;;
            :files) compset -P '--*='; _files ;;
            :folders) compset -P '--*='; _files -/ ;;
            :programs) _command_names -e; _files ;;
            *)
                entry=${${line%%$'\t'*}//:/\\:}
                [[ $line != *$'\t'* ]] || entry+=:${line#*$'\t'}
                case ${line%%$'\t'*} in
                *[:=.]) open_entries+=("$entry") ;;
                *) entries+=("$entry") ;;
                esac
                ;;
            esac
        done
        ((! ${#entries})) || _describe -V word entries
        ((! ${#open_entries})) || _describe -V beginning open_entries -S ''
    }

    if [[ ${funcstack[1]} == _PROGRAM ]]; then _PROGRAM "$@"; else compdef _PROGRAM PROGRAMS; fi
    """#

  static let fish = #"""
    # fish completion for PROGRAM, which is asked for the words.

    function __PROGRAM_complete
        set -l words (commandline -opc)
        set -l word (commandline -ct)
        test (count $word) -gt 0; or set word ''
        set -l option (string match -r -- '^--[^=]*=' $word)
        set -l path (string replace -r -- '^--[^=]*=' '' $word)
        for line in ($words[1] __complete $words[2..-1] $word 2>/dev/null)
            switch $line
                case :files
                    printf '%s\n' $option(__fish_complete_path $path)
                case :folders
                    printf '%s\n' $option(__fish_complete_directories $path)
                case :programs
                    __fish_complete_command
                case '*'
                    printf '%s\n' $line
            end
        end
    end

    for program in PROGRAMS
        complete -c $program -f -a '(__PROGRAM_complete)'
    end
    """#
}

extension String {
  fileprivate func replacingWord(_ word: String, by text: String) -> String {
    var result = ""
    var rest = self[...]
    while let first = rest.first {
      if rest.hasPrefix(word) {
        result += text
        rest = rest.dropFirst(word.count)
      } else {
        result.append(first)
        rest = rest.dropFirst()
      }
    }
    return result
  }
}
