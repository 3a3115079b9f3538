// Programs that are asked something, in a process that may want to know nothing of its children.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelTunnel

@Suite struct CaptureTests {
  private static func shell(_ script: String, _ words: String...) -> Program {
    Program("/bin/sh", ["-c", script, "sh"] + words, environment: ["PATH=/usr/bin:/bin"])
  }

  /// A child of the host process, and a program that ends it and sees that it is not forgotten yet.
  private static func startAndEnd() throws -> (child: pid_t, result: ProgramResult) {
    let child = try shell("exec sleep 600").start(output: "/dev/null")
    let script = "kill -KILL $1; until grep -q '^State:.Z' /proc/$1/status; do :; done"
    return (child, try shell(script, "\(child)").capture(milliseconds: 20_000))
  }

  @Test func whatItSaidAndHowItEndedIsTold() throws {
    let result = try CaptureTests.shell("echo out; echo err >&2; exit 7").capture(
      milliseconds: 20_000)
    #expect(result.status == 7 && result.output == "out\nerr\n" && result.lastLine == "err")
  }

  @Test func aProgramThatIsLateIsEnded() throws {
    let result = try CaptureTests.shell("echo out; exec sleep 600").capture(milliseconds: 100)
    #expect(result.status == 255)
  }

  @Test func whereChildrenAreIgnoredItsEndIsToldAllTheSame() async {
    await #expect(processExitsWith: .success) {
      signal(SIGCHLD, SIG_IGN)
      let result = try CaptureTests.shell("echo out; exit 7").capture(milliseconds: 20_000)
      #expect(result.status == 7 && result.output == "out\n")
      // Afterwards they are ignored again.
      let child = try CaptureTests.shell("exit 7").start(output: "/dev/null")
      Process.waitAmongOrphans(for: child)
      #expect(Process.poll(child) == .ended(255))
    }
  }

  @Test func whereChildrenAreIgnoredOneThatEndsMeanwhileIsForgotten() async {
    await #expect(processExitsWith: .success) {
      signal(SIGCHLD, SIG_IGN)
      let (child, result) = try CaptureTests.startAndEnd()
      #expect(result.succeeded)
      #expect(kill(child, 0) != 0 && errno == ESRCH)
    }
  }

  @Test func elsewhereAChildThatEndsMeanwhileIsTheHostsToWaitFor() async {
    await #expect(processExitsWith: .success) {
      let (child, result) = try CaptureTests.startAndEnd()
      #expect(result.succeeded)
      #expect(Process.poll(child) == .ended(128 + 9))
    }
  }

  @Test func aProcessThatKeepsItsChildrenHearsOfThem() async {
    await #expect(processExitsWith: .success) {
      signal(SIGCHLD, SIG_IGN)
      Process.keepChildren()
      let child = try CaptureTests.shell("exit 7").start(output: "/dev/null")
      #expect(eventually { Process.poll(child) == .ended(7) })
    }
  }
}
