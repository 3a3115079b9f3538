// The arguments behind the plugin's path in plugstack.conf.

import SpunnelSystem
import Testing

@testable import SpunnelTunnel

@Suite struct SettingsTests {
  @Test func withoutArgumentsTheDefaultsHold() throws {
    let settings = try Settings(arguments: [])
    #expect(settings == Settings())
    #expect(settings.sshCommand == ["ssh"])
    #expect(settings.sshArguments == [])
    #expect(settings.stateDirectory == "/tmp")
    #expect(settings.timeout == 15)
    #expect(settings.access == .owner)
    #expect(settings.targets == .job)
    #expect(settings.wait)
    #expect(settings.transport == .auto)
    #expect(!settings.quiet)
  }

  @Test func everyArgumentHasItsEffect() throws {
    let settings = try Settings(arguments: [
      "ssh_cmd=/usr/local/bin/ssh|-4", "ssh_args=-p|2222|-o|SendEnv=A=B", "state_dir=/var/tmp",
      "timeout=60", "access=host", "targets=any", "wait=no", "quiet", "transport=srun",
    ])
    #expect(settings.sshCommand == ["/usr/local/bin/ssh", "-4"])
    #expect(settings.sshArguments == ["-p", "2222", "-o", "SendEnv=A=B"])
    #expect(settings.stateDirectory == "/var/tmp")
    #expect(settings.timeout == 60)
    #expect(settings.access == .host)
    #expect(settings.targets == .any)
    #expect(!settings.wait)
    #expect(settings.transport == .srun)
    #expect(settings.quiet)
  }

  @Test func argsIsTheOldNameOfSshArgs() throws {
    #expect(try Settings(arguments: ["args=-p|22"]).sshArguments == ["-p", "22"])
  }

  @Test func theLastOfTwoHolds() throws {
    #expect(try Settings(arguments: ["timeout=1", "timeout=2"]).timeout == 2)
  }

  @Test(arguments: [
    ("login.example.org", "login.example.org"), ("%h.example.org", "\(Host.name).example.org"),
  ])
  func usersMayKnowTheHostByAnotherName(value: String, name: String) throws {
    #expect(try Settings(arguments: ["login_host=\(value)"]).loginName == name)
    #expect(try Settings(arguments: []).loginName == Host.name)
  }

  @Test(arguments: [
    "login_host=", "login_host", "login_host=-oProxyCommand=x", "login_host=a b", "login_host=%u",
  ])
  func whatIsNoHostIsNoLoginHost(argument: String) {
    #expect(throws: SettingsError.self) { try Settings(arguments: [argument]) }
  }

  @Test func emptyWordsBetweenBarsAreLeftOut() throws {
    #expect(try Settings(arguments: ["ssh_args=|-p||22|"]).sshArguments == ["-p", "22"])
  }

  @Test func rootMayBeLetInAsWell() throws {
    #expect(try Settings(arguments: ["access=owner+root"]).access == .ownerAndRoot)
  }

  @Test(arguments: [("timeout=1", 1), ("timeout=3600", 3600)])
  func timeoutsAreFromASecondToAnHour(argument: String, seconds: Int) throws {
    #expect(try Settings(arguments: [argument]).timeout == seconds)
  }

  @Test(arguments: [
    "ssh_cmd", "ssh_cmd=", "ssh_cmd=|", "ssh_args", "ssh_args=", "args", "args=||", "state_dir",
    "state_dir=", "state_dir=tmp", "state_dir=./x", "timeout", "timeout=", "timeout=0",
    "timeout=3601", "timeout=1.5", "timeout=-1", "timeout=15s", "timeout= 1",
    "timeout=99999999999999999999", "access", "access=", "access=all", "access=Owner",
    "access=owner ", "targets", "targets=", "targets=all", "targets=Any", "wait", "wait=",
    "wait=maybe", "wait=yes ", "transport", "transport=", "transport=SSH", "transport=rsh",
    "quiet=", "quiet=yes",
  ])
  func aMalformedArgumentIsQuoted(argument: String) {
    expectRefusal(of: argument) { if case .malformed(argument, _) = $0 { true } else { false } }
  }

  @Test(arguments: [
    "", "=", "port=1", "Timeout=1", "quiet ", " quiet", "ssh-args=x", "\u{1b}[2J=1",
  ])
  func anUnknownArgumentIsQuoted(argument: String) {
    expectRefusal(of: argument) { $0 == .unknown(argument) }
  }

  private func expectRefusal(of argument: String, _ isExpected: (SettingsError) -> Bool) {
    let error = #expect(throws: SettingsError.self) {
      try Settings(arguments: ["quiet", argument])
    }
    guard let error else { return }
    #expect(isExpected(error), "\(error)")
    #expect(error.description.contains("'\(printable(argument))'"))
  }
}
