// What an ssh writes, however much it is.

import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct SSHProcessTests {
  private func run(_ script: String) throws -> (answer: String, lines: [String]) {
    let loop = try EventLoop()
    let scratch = try Scratch()
    try scratch.write(script + "\n", to: "ssh")
    let settings = try Settings(arguments: ["ssh_cmd=/bin/sh|\(scratch.path)/ssh"])
    let node = try nodes("n1")[0]
    let ssh = try SSHProcess(loop, SSHCommand(asking: settings, node: node).arguments) { _ in }
    #expect(try loop.turn { ssh.reap() != nil })
    return (ssh.answerText, ssh.lines)
  }

  @Test func anAnswerThatHasNoRoomInAPipeIsHeardWhole() throws {
    let answer = try run("yes 'user one' | head -n 20000; echo 'port 22'; echo bye >&2")
    #expect(answer.answer.utf8.count == 20000 * 9 + 8)
    #expect(answer.answer.hasSuffix("\nport 22\n"))
    #expect(answer.lines == ["bye"])
  }

  @Test func anAnswerWithoutMeasureIsCutAndHoldsUpNobody() throws {
    let answer = try run("yes 'user one' | head -n 400000; echo bye >&2")
    #expect(answer.answer.utf8.count == 1 << 20)
    #expect(answer.lines == ["bye"])
  }
}
