// Why a keeper was not started, and what to do about it.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct KeeperStartTests {
  @Test(arguments: [
    (ENOENT, "is the installation complete?"), (EACCES, "is the installation complete?"),
    (ENOMEM, "this host has no more: try again later"), (ELOOP, "ask your administrator"),
  ])
  func theAdviceFitsWhatIsMissing(code: CInt, advice: String) {
    let error = SystemError("start /opt/spunnel/libexec/spunnel/spunnel-keeper", code)
    #expect(KeeperFailure(unstarted: error).reason == "\(error): \(advice)")
  }

  @Test(arguments: [
    (EMFILE, "raise the limit of open files, ulimit -n"),
    (EAGAIN, "raise the limit of processes, ulimit -u, or end some"),
  ])
  func limitsSayThemselvesWhatToDo(code: CInt, advice: String) {
    let error = SystemError("start /opt/spunnel/libexec/spunnel/spunnel-keeper", code)
    #expect("\(error)".hasSuffix(": \(advice)"))
    #expect(KeeperFailure(unstarted: error).reason == "\(error)")
  }

  @Test func aKeeperThatIsNotThereIsAFailure() throws {
    let request = try KeeperRequest(
      .lifeline, step: StepName(job: 17, step: 0), nodes: [], spec: nil, arguments: [])
    let reason = "start /nowhere/libexec/spunnel/spunnel-keeper: No such file or directory: "
    #expect(throws: KeeperFailure(reason + "is the installation complete?")) {
      _ = try KeeperStart(request, Installation(prefix: "/nowhere"))
    }
  }
}
