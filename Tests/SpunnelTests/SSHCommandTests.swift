// The ssh command line: what is always there, what a site may change, and what it may not.

import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct SSHCommandTests {
  /// What `ssh -G` tells where nobody has set anything.
  private static let defaults = """
    connecttimeout none
    serveraliveinterval 0
    ciphers aes256-ctr,aes128-gcm@openssh.com
    forkafterauthentication no

    """

  private func plan(
    _ arguments: [String] = [], control: String = "/tmp/spunnel-0/1.0/control",
    told: String = SSHCommandTests.defaults
  ) throws -> [String] {
    SSHCommand(
      try Settings(arguments: arguments), node: try #require(NodeName("n1")), controlPath: control,
      SSHConfiguration(told)
    ).arguments
  }

  /// What ssh uses of several values: the first.
  private func effective(_ option: String, in arguments: [String]) -> String? {
    arguments.first { $0.hasPrefix(option + "=") }.map { String($0.dropFirst(option.count + 1)) }
  }

  @Test(
    arguments: [
      ("BatchMode", "yes"), ("ClearAllForwardings", "yes"), ("ControlPersist", "no"),
      ("PermitLocalCommand", "no"), ("RemoteCommand", "none"), ("Tunnel", "no"),
      ("EscapeChar", "none"), ("LogLevel", "INFO"), ("StreamLocalBindUnlink", "yes"),
      ("StreamLocalBindMask", "0177"),
    ])
  func noSiteCanTakeAwayWhatIsNeeded(option: String, value: String) throws {
    let other = "ssh_args=-o|\(option)=other"
    #expect(effective(option, in: try plan()) == value)
    #expect(effective(option, in: try plan([other])) == value)
  }

  @Test(
    arguments: [
      ("ServerAliveInterval", "15"), ("ConnectTimeout", "14"),
      ("Ciphers", "aes128-gcm@openssh.com,aes256-ctr"),
    ])
  func aSiteCanChangeWhatIsPreferred(option: String, value: String) throws {
    #expect(effective(option, in: try plan()) == value)
    #expect(effective(option, in: try plan(["ssh_args=-o|\(option)=77"])) == "77")
  }

  @Test func sshGivesUpBeforeSrunDoes() throws {
    #expect(effective("ConnectTimeout", in: try plan(["timeout=42"])) == "41")
    #expect(effective("ConnectTimeout", in: try plan(["timeout=1"])) == "1")
  }

  @Test func whatIsSetIsLeftAsItIs() throws {
    let told = """
      connecttimeout 7
      serveraliveinterval 60
      ciphers aes256-ctr,chacha20-poly1305@openssh.com
      """
    let arguments = try plan(told: told)
    for option in ["ConnectTimeout", "ServerAliveInterval", "Ciphers"] {
      #expect(effective(option, in: arguments) == nil)
    }
  }

  @Test(arguments: ["", "usage: ssh [-46AaCf]\n", "connecttimeout\n\n \nciphers \n"])
  func whenSshTellsNothingNothingIsPreferred(told: String) throws {
    let arguments = try plan(told: told)
    for option in ["ConnectTimeout", "ServerAliveInterval", "Ciphers", "ForkAfterAuthentication"] {
      #expect(effective(option, in: arguments) == nil)
    }
  }

  @Test func jumpsAreOfTheTunnelsOwn() throws {
    let told = SSHCommandTests.defaults + "stdinnull yes\nproxyjump gate\n"
    let command = try #require(effective("ProxyCommand", in: try plan(told: told)))
    #expect(command.hasPrefix("'ssh' '-T' '-a' '-x' '-o' 'BatchMode=yes' '-o' 'ControlMaster=no' "))
    for option in ["ControlPath=none", "ClearAllForwardings=yes", "StdinNull=no"] {
      #expect(command.contains("'-o' '\(option)'"))
    }
    // A name that an older ssh may not know is not said without need.
    #expect(!command.contains("ForkAfterAuthentication"))
    #expect(command.hasSuffix("'-W' '[%h]:%p' '--' 'gate'"))
  }

  @Test func jumpsOverSeveralHostsAreOneInAnother() throws {
    let command = try #require(
      effective("ProxyCommand", in: try plan(told: "proxyjump a@b@one:2222,[fd00::2]:22\n")))
    #expect(command.hasSuffix(" '-p' '22' '-W' '[%h]:%p' '--' 'fd00::2'"))
    #expect(command.contains("'ProxyCommand='\\''ssh'\\'' "))
    #expect(command.contains("'\\''-l'\\'' '\\''a@b'\\'' '\\''-p'\\'' '\\''2222'\\'' "))
    #expect(command.contains("'\\''[%%h]:%%p'\\'' '\\''--'\\'' '\\''one'\\'''"))
  }

  @Test func aPercentInTheProgramIsNoTokenAtAnyHost() throws {
    let command = try #require(
      effective(
        "ProxyCommand", in: try plan(["ssh_cmd=/opt/%h/ssh"], told: "proxyjump one,two\n")))
    // ssh takes two for one, at each of them.
    #expect(command.hasPrefix("'/opt/%%h/ssh' "))
    #expect(command.contains("'ProxyCommand='\\''/opt/%%%%h/ssh'\\'' "))
  }

  @Test(arguments: [("proxyjump gate", true), ("proxyjump none", false)])
  func aCommandOfOursIsNotForTheUsersShell(told: String, isNeeded: Bool) throws {
    let command = SSHCommand(
      try Settings(arguments: []), node: try node(), controlPath: "/c", SSHConfiguration(told))
    #expect(command.needsShell == isNeeded)
    #expect(SSHCommand.withShell(["A=b", "SHELL=/bin/fish"]) == ["A=b", "SHELL=/bin/sh"])
  }

  @Test(arguments: [
    "", "proxyjump none", "proxyjump -oX=y", "proxyjump a;b", "proxyjump a,", "proxyjump ::1",
    "proxyjump [::1", "proxyjump [::1]22", "proxyjump gate:", "proxyjump gate:ssh",
    "proxyjump @gate", "proxyjump -l@gate", "proxyjump ssh://me@gate", "proxyjump [fe80::1%eth0]",
    "proxyjump a$b@gate",
  ])
  func whatIsNoPlainJumpIsLeftToSsh(told: String) throws {
    #expect(effective("ProxyCommand", in: try plan(told: told)) == nil)
  }

  @Test func aConfigurationFileOfTheSitesIsForTheJumpsToo() throws {
    let arguments = try plan(["ssh_args=-F|/etc/site"], told: "proxyjump gate\n")
    #expect(effective("ProxyCommand", in: arguments) == nil)
  }

  @Test func sshNeverGoesToTheBackground() throws {
    let arguments = try plan(
      ["ssh_args=-o|ForkAfterAuthentication=yes"], told: "forkafterauthentication yes\n")
    #expect(effective("ForkAfterAuthentication", in: arguments) == "no")
    // An older ssh does not know the option and would refuse it.
    #expect(effective("ForkAfterAuthentication", in: try plan()) == nil)
  }

  @Test func askingTakesTheSitesArgumentsAndTheNode() throws {
    let settings = try Settings(arguments: ["ssh_cmd=/opt/ssh|-F|none", "ssh_args=-p|2222"])
    let command = SSHCommand(asking: settings, node: try #require(NodeName("n1")))
    #expect(command.arguments.prefix(5) == ["/opt/ssh", "-F", "none", "-p", "2222"])
    #expect(command.arguments.contains("-G"))
    #expect(command.arguments.suffix(2) == ["--", "n1"])
  }

  @Test func theOrderIsProgramNeedsSiteAndPreferences() throws {
    let arguments = try plan(["ssh_cmd=/opt/ssh|-F|none", "ssh_args=-p|2222"])
    #expect(arguments.prefix(3) == ["/opt/ssh", "-F", "none"])
    let site = try #require(arguments.firstIndex(of: "-p"))
    let lastNeed = try #require(arguments.firstIndex(of: "LogLevel=INFO"))
    let firstPreference = try #require(arguments.firstIndex(of: "ConnectTimeout=14"))
    #expect(lastNeed < site && site < firstPreference)
    #expect(arguments[site + 1] == "2222")
  }

  @Test func aMasterWithoutCommandTerminalAgentAndInputIsAskedFor() throws {
    let arguments = try plan()
    for flag in ["-M", "-N", "-T", "-x", "-a", "-n"] { #expect(arguments.contains(flag)) }
    #expect(!arguments.contains("-f"))
    #expect(!arguments.contains { ["-L", "-R", "-D", "-W", "-A", "-X", "-Y"].contains($0) })
  }

  @Test func everyOptionStandsBehindItsFlag() throws {
    let arguments = try plan()
    for (index, word) in arguments.enumerated() where word.contains("=") {
      #expect(arguments[index - 1] == "-o", "\(word)")
    }
  }

  @Test func theNodeIsTheLastWordAndCannotBeAnOption() throws {
    let arguments = try plan(["ssh_args=-p|22"])
    #expect(arguments.suffix(2) == ["--", "n1"])
  }

  @Test(
    arguments: [
      ("/tmp/a/control", "/tmp/a/control"), ("/tmp/100%/c", "/tmp/100%%/c"),
      ("/%h/%%/c", "/%%h/%%%%/c"),
    ])
  func aPercentInThePathIsNoToken(path: String, word: String) throws {
    let arguments = try plan(control: path)
    let flag = try #require(arguments.firstIndex(of: "-S"))
    #expect(arguments[flag + 1] == word)
  }
}
