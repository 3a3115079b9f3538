// How processes are ended.

import Glibc
import SpunnelSystem
import Testing

@Suite struct LadderTests {
  /// Starts a shell that runs a script.
  private func shell(_ script: String) throws -> pid_t {
    try Program(
      path: "/bin/sh", arguments: ["sh", "-c", script], descriptors: [0, 1, 2]
    ).start()
  }

  private func running(_ process: pid_t) -> [pid_t] {
    if case .running = Process.poll(process) { [process] } else { [] }
  }

  @Test func aProcessThatHearsIsNotKilled() throws {
    let process = try shell("exec sleep 60")
    let began = Clock.milliseconds()
    #expect(Process.endAll(patience: 20_000) { running(process) })
    #expect(Clock.milliseconds() - began < 20_000)
  }

  @Test func aProcessThatDoesNotHearIsKilled() throws {
    let process = try shell("trap '' TERM; while :; do sleep 1; done")
    // The trap may not be set yet: nothing here depends on it.
    #expect(Process.endAll(patience: 100) { running(process) })
  }

  @Test func aProcessMayEndByItselfFirst() throws {
    let process = try shell("trap 'exit 3' TERM; sleep 0.1; exit 4")
    var ended: Process.Fate?
    #expect(
      Process.endAll(rest: 20_000, patience: 10) {
        let state = Process.poll(process)
        if case .running = state { return [process] }
        ended = state
        return []
      })
    #expect(ended == .ended(4))
  }

  @Test func whatCannotBeEndedIsNotWaitedForForEver() {
    // No process has this number (proc(5), pid_max).
    #expect(!Process.endAll(patience: 20) { [pid_t.max] })
  }
}
