// An ssh that is slow to end: the tunnel's other connections go on, and it is gone in the end.

import Glibc
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct TunnelEndingTests {
  /// Why an ssh does not end when it is asked to.
  enum Stubbornness: CaseIterable { case isStopped, ignoresTerm }

  private let rig: TunnelRig

  init() throws { rig = try TunnelRig() }

  /// A tunnel to two nodes, whose ssh to n2 does not heed TERM.
  ///
  /// - Returns: the two forwards, and that ssh
  private func stubborn(_ why: Stubbornness) throws -> (forwards: [Forward], ssh: pid_t) {
    if why == .ignoresTerm { try rig.ssh.behave(#"[ "$node" = n1 ] || trap '' TERM"#) }
    try rig.run("n1,n2")
    let asked = try rig.open(":n1:8000,:n2:8000")
    #expect(try rig.turn { asked.ready != nil })
    let ssh = try #require(rig.ssh.process(of: 1))
    if why == .isStopped {
      kill(ssh, SIGSTOP)
      // Of two signals that wait together the kernel takes the lower one first, and that is TERM.
      #expect(try rig.turn { stateOfProcess(ssh) == "T" })
    }
    return (try #require(asked.ready), ssh)
  }

  private func close(_ forward: Forward) throws {
    let port = try #require(forward.listen.port)
    #expect(try rig.tunnel.close(matching: try TunnelSpec("\(port)")).missing.isEmpty)
  }

  private func isThere(_ process: pid_t) -> Bool { kill(process, 0) == 0 }

  @Test(arguments: Stubbornness.allCases)
  func theOtherNodesBytesGoOnMeanwhile(why: Stubbornness) throws {
    let (forwards, ssh) = try stubborn(why)
    let client = try rig.client(forwards[0])
    client.send("0")
    #expect(try rig.turn([client]) { client.text == "0" })
    try close(forwards[1])
    #expect(isRunning(ssh))
    var rounds = 0
    while isRunning(ssh) {
      client.send("1")
      rounds += 1
      #expect(try rig.turn([client]) { client.received.count > rounds })
    }
    // KILL comes by the loop's own timer, so there was one at least.
    #expect(rounds > 0)
    // Not even a zombie.
    #expect(try rig.turn { !isThere(ssh) })
    try rig.expectEcho(forwards[0])
    #expect(client.failure == nil && !client.sawEnd)
  }

  @Test(arguments: Stubbornness.allCases)
  func whatIsStillToEndIsGoneWithTheTunnel(why: Stubbornness) throws {
    let (forwards, ssh) = try stubborn(why)
    try close(forwards[1])
    try rig.tunnel.stop()
    #expect(!isThere(ssh))
  }

  @Test func theNextSshToTheNodeWaitsForTheEndOfTheLast() throws {
    // At its end, like ssh, it removes its control socket by name.
    try rig.ssh.behave(
      """
      if [ "$node" = n2 ] && [ ! -e "$2.pid.old" ]; then
        cp "$2.pid" "$2.pid.old"
        here=$2
        trap 'sleep 0.3; rm -f "$here"; exit' TERM
        : >"$2.here"
        sleep 600 &
        while :; do wait; done
      fi
      """)
    try rig.run("n1,n2")
    let asked = try rig.open(":n1:8000,:n2:8000")
    #expect(try rig.turn { asked.ready != nil })
    let forward = try #require(asked.ready?.last)
    let old = try #require(rig.ssh.process(of: 1))
    try close(forward)
    let again = try rig.open(":n2:8000")
    let more = try rig.open(":n2:8888")
    #expect(try rig.turn { rig.ssh.started.count == 3 })
    #expect(!isRunning(old))
    #expect(try rig.turn { again.ready != nil && more.ready != nil })
    #expect(rig.ssh.started.count == 3)
    #expect(rig.ssh.record.controlExists(of: 1))
    try rig.expectEcho(again.ready?.first)
    try rig.expectEcho(more.ready?.first)
  }

  @Test func anSshThatHasHadItsShareEndsBesideTheOthers() throws {
    let rig = try TunnelRig(["transport=auto", "timeout=16"])
    try rig.ssh.behave(
      """
      case $node in
      n2) trap '' TERM; exec sleep 600 ;;
      *) ;;
      esac
      """)
    try rig.run("n1,n2")
    let other = try rig.open(":n1:8000")
    #expect(try rig.turn { other.ready != nil })
    let asked = try rig.open(":n2:8000")
    #expect(try rig.turn { rig.ssh.process(of: 1) != nil })
    let silent = try #require(rig.ssh.process(of: 1))
    #expect(try rig.turn { rig.lines.contains { $0.contains("going through srun") } })
    #expect(isRunning(silent))
    try rig.expectEcho(other.ready?.first)
    // No ssh takes its place: an srun does, which finds no Slurm here.
    #expect(try rig.turn { !isThere(silent) })
    #expect(asked.ready == nil && rig.ssh.started.count == 2)
    try rig.expectEcho(other.ready?.first)
  }
}
