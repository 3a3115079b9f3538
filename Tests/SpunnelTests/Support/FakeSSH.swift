// An ssh that is a shell script: it logs in unless it is told otherwise, and then a fake master
// stands behind its control socket.

import Glibc
import SpunnelSystem

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

final class FakeSSH {
  let scratch: Scratch
  let record: Record
  let settings: Settings
  /// Done to every master before it is heard.
  var prepare: (FakeMaster) -> Void = { _ in }
  /// The masters, the newest of each link.
  private(set) var masters: [Int: FakeMaster] = [:]

  /// - Parameter arguments: more of plugstack.conf's
  init(_ arguments: [String] = []) throws {
    scratch = try Scratch()
    record = try Record.create(StepName(job: 17, step: 0), in: scratch.path, user: getuid())
    settings = try Settings(
      arguments: [
        "ssh_cmd=/bin/sh|\(scratch.path)/ssh", "state_dir=\(scratch.path)", "timeout=5",
        "transport=ssh",
      ] + arguments)
    try scratch.write(script, to: "ssh")
  }

  private var script: String {
    """
    for node; do [ "$node" != -G ] || { echo 'connecttimeout none'; exit; }; done
    echo "$node" >>'\(scratch.path)/started'
    if line=$(cat '\(scratch.path)/refusal' 2>/dev/null); then echo "$line" >&2; exit 255; fi
    words=" $* "
    while [ "$1" != -S ]; do shift; done
    echo $$ >"$2.pid"
    [ ! -e '\(scratch.path)/behaviour' ] || . '\(scratch.path)/behaviour'
    mkfifo "$2.say" 2>/dev/null
    exec 3<>"$2.say"
    : >"$2.here"
    exec cat <&3 >&2

    """
  }

  /// Has every ssh from now on say a line and end; `nil`: log in.
  func refuse(_ line: String?) throws {
    if let line { return try scratch.write(line + "\n", to: "refusal") }
    _ = unsafe unlink(scratch.path + "/refusal")
  }

  /// Has every ssh from now on run this before it logs in: for `$node`, with `$words`, and with its
  /// control socket at `$2`.
  func behave(_ script: String) throws { try scratch.write(script + "\n", to: "behaviour") }

  /// The ssh of a link that was started last.
  func process(of link: Int) -> pid_t? {
    let text = try? scratch.read("spunnel-\(getuid())/17.0/\(RecordFile.control(of: link)).pid")
    return text.flatMap { pid_t($0.dropLast()) }
  }

  /// The nodes that ssh was started for.
  var started: [String] {
    ((try? scratch.read("started")) ?? "").split(separator: "\n").map(String.init)
  }

  /// Has the running ssh of a link say a line; one that is gone says nothing.
  func say(_ line: String, link: Int = 0) throws {
    let fifo = try FileDescriptor.open(record.controlPath(of: link) + ".say", O_WRONLY | O_NONBLOCK)
    try fifo.writeAll(Array((line + "\n").utf8))
  }

  /// Ends the ssh of a link, as a kill would: it is marked as ending before its sockets close.
  func kill(_ process: pid_t?, link: Int = 0) {
    if let process {
      _ = Glibc.kill(process, SIGKILL)
      _ = eventually { !isRunning(process) }
    }
    masters[link]?.die()
  }

  /// Logs in who has come, and does the masters' work.
  func work() throws {
    for link in 0..<4 {
      let mark = record.controlPath(of: link) + ".here"
      guard unsafe access(mark, F_OK) == 0 else { continue }
      _ = unsafe unlink(mark)
      masters[link]?.die()
      let master = FakeMaster(record, link: link)
      master.speak = { [weak self] in try? self?.say($0, link: link) }
      prepare(master)
      try master.logIn()
      masters[link] = master
    }
    for master in masters.values { try master.work() }
  }

  /// All that was asked for, without probes.
  func orders(_ link: Int = 0) -> [FakeMaster.Request] { masters[link]?.orders ?? [] }
}
