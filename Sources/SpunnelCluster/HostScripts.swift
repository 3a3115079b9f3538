// Scripts for /bin/sh on the other hosts of a cluster: to look, to start munged and slurmd, and to
// stop them. Each line of an answer begins with `spunnel`. On a host the cluster is one folder of
// the user.

import SpunnelSystem

enum HostScripts {
  /// Folders with daemons, which many users' `PATH` lacks.
  private static let path = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n"

  private static func head(_ programs: Programs) -> String {
    let folders = programs.folders.map { shellQuoted($0) + ":" }.joined()
    return """
      set -u
      umask 077
      PATH=\(folders)$PATH
      \(path)
      fail() { echo "spunnel failed $*"; exit 1; }

      """
  }

  /// A script that prints what must be known of a host before the configuration is written.
  static func look(_ programs: Programs) -> String {
    head(programs) + """
      find() { for name; do command -v "$name" && return; done; fail "$1: not found: install it there"; }
      munged=$(find munged) || { echo "$munged"; exit 1; }
      slurmd=$(find slurmd slurmd-wlm) || { echo "$slurmd"; exit 1; }
      for tool in base64 setsid awk; do command -v "$tool" >/dev/null || fail "$tool: not found"; done
      echo "spunnel host $(uname -n)"
      echo "spunnel user $(id -u)"
      echo "spunnel link ${SSH_CONNECTION:-}"
      echo "spunnel ports $(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk '$4 == "0A" { sub(/.*:/, "", $2); printf "%s ", $2 }')"

      """
  }

  /// What the start script delivers to one host.
  struct Delivery {
    let root: String
    let programs: Programs
    /// The files by their names in the folder.
    var files: [(name: String, content: [UInt8])] = []
    /// The nodes of that host.
    let nodes: [String]
    /// The addresses of the cluster's other hosts.
    let peers: [String]
  }

  /// A script that writes the files and starts missing daemons.
  static func start(_ delivery: Delivery) -> String {
    var script = head(delivery.programs) + folderLines(delivery.root)
    for (name, content) in delivery.files {
      script += "put \(shellQuoted(name)) <<'END'\n\(base64(content))\nEND\n"
    }
    let libraries = delivery.programs.libraryFolders.joined(separator: ":")
    script += """
      stepd=$(command -v slurmstepd || command -v slurmstepd-wlm || echo /usr/sbin/slurmstepd)
      ln -sf "$stepd" "$root/bin/slurmstepd"
      conf=$root/slurm.conf
      launch() {
        log=$1
        shift
        setsid env -i PATH="$PATH" HOME="$HOME" USER="$(id -un)" LOGNAME="$(id -un)" SLURM_CONF="$conf" \\
          LD_PRELOAD="$root/plugin/loopback.so" SPUNNEL_PEERS=\(shellQuoted(delivery.peers.joined(separator: ","))) \\
          LD_LIBRARY_PATH=\(shellQuoted(libraries)) SPUNNEL_LOGS="$log:$log.start" "$@" </dev/null >>"$log.start" 2>&1 &
        started="$started $!"
      }
      started=
      if [ -z "$(with_word "--socket=$root/munge.socket")" ]; then
        rm -f "$root/munge.socket"
        launch "$root/log/munged.log" munged --foreground --force --num-threads=2 \\
          --socket="$root/munge.socket" --key-file="$root/munge.key" \\
          --pid-file="$root/state/munged.pid" --seed-file="$root/state/munge.seed"
        turn=0
        until [ -S "$root/munge.socket" ]; do
          turn=$((turn + 1))
          [ $turn -lt 100 ] || fail "munged did not start: $(tail -n 1 "$root/log/munged.log.start")"
          sleep 0.1
        done
      fi
      slurmd=$(command -v slurmd || command -v slurmd-wlm)
      for node in \(delivery.nodes.map { shellQuoted($0) }.joined(separator: " ")); do
        runs=
        for id in $(with_word "$conf"); do
          tr '\\0' '\\n' <"/proc/$id/cmdline" | grep -qxF -e "$node" && runs=yes
        done
        [ -n "$runs" ] || {
          launch "$root/log/slurmd-$node.log" "$slurmd" -D -N "$node" -f "$conf" -d "$root/bin/slurmstepd"
          echo "spunnel started $node"
        }
      done
      sleep 0.3
      for id in $started; do
        kill -0 "$id" 2>/dev/null || fail "a daemon ended at once: $(cat "$root"/log/*.start | tail -n 1)"
      done

      """
    return script
  }

  /// A script that ends all processes of the cluster and removes the folder.
  static func stop(root: String, _ programs: Programs) -> String {
    head(programs) + """
      root=\(shellQuoted(root))
      \(lookups)
      all() {
        with_word "$root/slurm.conf"
        with_word "--socket=$root/munge.socket"
        for entry in /proc/[0-9]*; do
          [ -O "$entry" ] && grep -qzxF -e "SLURM_CONF=$root/slurm.conf" "$entry/environ" &&
            grep -qz '^SLURMD_NODENAME=' "$entry/environ" && echo "${entry#/proc/}"
        done 2>/dev/null
      }
      turn=0
      while ids=$(all); [ -n "$ids" ]; do
        number=TERM
        [ $turn -lt 50 ] || number=KILL
        # The words are process ids.
        [ $turn -gt 0 ] && [ $turn -lt 50 ] || kill -$number $ids 2>/dev/null
        turn=$((turn + 1))
        [ $turn -lt 100 ] || fail "processes do not end: $ids"
        sleep 0.1
      done
      [ -L "$root" ] || [ ! -d "$root" ] || [ ! -O "$root" ] || rm -rf -- "$root"
      rmdir -- "${root%/*}" 2>/dev/null || true

      """
  }

  /// Lines that make the folder, and fail if another user made it.
  private static func folderLines(_ root: String) -> String {
    """
    root=\(shellQuoted(root))
    parent=${root%/*}
    mkdir -p "$parent" || fail "make '$parent'"
    [ ! -L "$parent" ] && [ -O "$parent" ] || fail "'$parent' is another user's"
    chmod 700 "$parent"
    [ ! -L "$root" ] || fail "'$root' is a cluster of that host's own"
    mkdir -p "$root/state" "$root/spool" "$root/log" "$root/bin" "$root/plugin" || fail "make '$root'"
    put() { base64 -d >"$root/$1.new" && mv -f "$root/$1.new" "$root/$1" || fail "write '$root/$1'"; }
    \(lookups)

    """
  }

  /// A shell function that lists the user's processes with a word on their command line.
  private static let lookups = """
    with_word() {
      for entry in /proc/[0-9]*; do
        [ -O "$entry" ] && tr '\\0' '\\n' <"$entry/cmdline" | grep -qxF -e "$1" && echo "${entry#/proc/}"
      done 2>/dev/null
    }
    """
}
