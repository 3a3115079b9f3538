// The way through srun: what ssh and srun are told.

import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

private let keys = TunnelKeys(
  identity: "/tmp/spunnel-7/1.0/n1.key", knownHosts: "/tmp/spunnel-7/1.0/n1.known",
  hostKey: "AAAAhost", clientKey: "ssh-ed25519 AAAAclient")

private func way(
  srun: String = "/usr/bin/srun", helper: String = "/opt/spunnel/libexec/spunnel/spunnel-sshd",
  keys: TunnelKeys = keys
) throws -> SrunTransport {
  try SrunTransport(
    job: 12, node: try #require(NodeName("n1")), srun: srun, helper: helper, keys: keys)
}

@Suite struct SrunTransportTests {
  @Test func theWholeCommand() throws {
    let words =
      "/usr/bin/srun --jobid=12 --nodelist=n1 -N1 -n1 "
      + "--job-name=spunnel --overlap --mem=0 --gres=none --cpu-bind=none --mpi=none "
      + "--unbuffered --chdir=/ --propagate=NONE "
      + "--export=SPUNNEL_HOST_KEY,SPUNNEL_CLIENT_KEY,SPUNNEL_CALLBACK --kill-on-bad-exit=0 "
      + "/opt/spunnel/libexec/spunnel/spunnel-sshd"
    #expect(try way().command.joined(separator: " ") == words)
  }

  @Test(arguments: [
    "/opt/a b/srun", "/opt/$(id)/srun", "/opt/a;b", "/opt/'", "/opt/\"", "/opt/100%", "/opt/é",
    "srun", "", "/opt/a\nb", "/opt/~", "/opt/`id`", "/opt/a\\b", "/opt/*",
  ])
  func aPathThatAShellCouldMisreadIsRefused(path: String) throws {
    #expect(throws: UnsafePath(path: path)) { try way(srun: path) }
    #expect(throws: UnsafePath(path: path)) { try way(helper: path) }
    let elsewhere = TunnelKeys(
      identity: path, knownHosts: keys.knownHosts, hostKey: "x", clientKey: "x")
    #expect(throws: UnsafePath(path: path)) { try way(keys: elsewhere) }
  }

  @Test func noKeyIsInTheArguments() throws {
    let command = SSHCommand(Settings(), controlPath: "/tmp/c", through: try way())
    let text = command.arguments.joined(separator: " ")
    #expect(!text.contains("AAAAhost"))
    #expect(!text.contains("AAAAclient"))
  }

  @Test(arguments: [
    ("StrictHostKeyChecking", "yes"), ("GlobalKnownHostsFile", "/dev/null"),
    ("UserKnownHostsFile", "/tmp/spunnel-7/1.0/n1.known"), ("HostKeyAlias", "spunnel"),
    ("IdentityFile", "/tmp/spunnel-7/1.0/n1.key"), ("IdentitiesOnly", "yes"),
    ("IdentityAgent", "none"), ("PreferredAuthentications", "publickey"), ("BatchMode", "yes"),
    ("ClearAllForwardings", "yes"), ("ConnectTimeout", "42"), ("ProxyCommand", "-"),
    ("ServerAliveInterval", "15"),
  ])
  func sshTakesTheTunnelsKeysAlone(option: String, value: String) throws {
    let settings = try Settings(arguments: ["timeout=42", "ssh_args=-p|22|-o|IdentityFile=x"])
    let arguments = SSHCommand(settings, controlPath: "/tmp/c", through: try way()).arguments
    let found = arguments.first { $0.hasPrefix(option + "=") }
    #expect(found == "\(option)=\(value)")
  }

  @Test func throughSrunItselfNeitherEndGivesUpBeforeSrunDoes() throws {
    let arguments =
      SSHCommand(Settings(), controlPath: "/tmp/c", through: try way(), isDirect: false).arguments
    #expect(arguments.contains("ServerAliveInterval=30"))
    #expect(arguments.contains("ServerAliveCountMax=12"))
  }

  @Test func noConfigurationIsReadAndNoArgumentOfTheSiteTaken() throws {
    let settings = try Settings(arguments: ["ssh_cmd=/opt/ssh|-4", "ssh_args=-p|2222"])
    let arguments = SSHCommand(settings, controlPath: "/tmp/c", through: try way()).arguments
    #expect(arguments.prefix(2) == ["/opt/ssh", "-4"])
    let file = try #require(arguments.firstIndex(of: "-F"))
    #expect(arguments[file + 1] == "none")
    #expect(!arguments.contains("2222"))
    #expect(arguments.suffix(2) == ["--", "n1"])
    for flag in ["-M", "-N", "-T", "-x", "-a", "-n", "-S"] { #expect(arguments.contains(flag)) }
  }

  private static let inherited: [ByteString] = [
    "PATH=/bin", "HOME=/h", "SLURM_CONF=/etc/s.conf", "SLURM_CONF_SERVER=x", "SLURM_JOB_ID=1",
    "SLURM_JWT=token", "SLURM_SPANK__SLURM_SPANK_OPTION_spunnel_tunnel=1:2",
    "_SLURM_SPANK_OPTION_spunnel_tunnel=1", "SLURMD_NODENAME=n9", "SRUN_CPUS_PER_TASK=9",
    "SPUNNEL_HOST_KEY=old", "SPUNNEL_CALLBACK=old", "SHELL=/bin/tcsh", "MY_SLURM=kept",
  ]
  private static let kept: [ByteString] = [
    "PATH=/bin", "HOME=/h", "SLURM_CONF=/etc/s.conf", "SLURM_CONF_SERVER=x", "SLURM_JWT=token",
    "MY_SLURM=kept", "SHELL=/bin/sh",
  ]

  @Test func theEnvironmentHasNothingOfAnotherStep() throws {
    #expect(
      try way().environment(from: Self.inherited, callback: "1:a:b") == Self.kept + [
        "SPUNNEL_HOST_KEY=AAAAhost", "SPUNNEL_CLIENT_KEY=ssh-ed25519 AAAAclient",
        "SPUNNEL_CALLBACK=1:a:b",
      ])
  }

  @Test func theEnvironmentOfSshHasNoKeys() {
    #expect(SrunTransport.cleaned(Self.inherited) == Self.kept)
  }

  /// As srun writes it where it was told its configuration by slurmctld (configless).
  @Test func aConfigurationThatIsNoFileIsLeftOut() {
    #expect(
      SrunTransport.cleaned(["SLURM_CONF=(null)", "SLURM_CONF_SERVER=c:6817"])
        == ["SLURM_CONF_SERVER=c:6817", "SHELL=/bin/sh"])
  }
}

@Suite struct TunnelKeysTests {
  private let scratch: Scratch
  init() throws { scratch = try Scratch() }

  private func make(_ node: String) throws -> TunnelKeys {
    try TunnelKeys.make(
      for: try #require(NodeName(node)), in: try Directory.open(scratch.path),
      program: "/usr/bin/ssh-keygen")
  }

  @Test func onlyTheKeepersKeyAndThePublicHalfOfTheOtherStay() throws {
    let keys = try make("n1")
    #expect(scratch.names() == ["n1.key", "n1.known"])
    #expect(keys.identity == scratch.path + "/n1.key")
    #expect(keys.knownHosts == scratch.path + "/n1.known")
    #expect(try Helper("stat -c %a \"$1\"", [keys.identity]).all() == "600\n")
  }

  @Test func theKeysFitTheFilesAndEachOther() throws {
    let keys = try make("n1")
    let derived = try Helper("ssh-keygen -y -f \"$1\" | cut -d' ' -f1,2", [keys.identity]).all()
    #expect(derived == keys.clientKey + "\n")
    try scratch.write(
      "-----BEGIN OPENSSH PRIVATE KEY-----\n\(keys.hostKey)\n-----END OPENSSH PRIVATE KEY-----\n",
      to: "host")
    let host = try Helper("ssh-keygen -y -f \"$1/host\" | cut -d' ' -f1,2", [scratch.path]).all()
    #expect(try scratch.read("n1.known") == "spunnel " + host)
    #expect(host != derived)
  }

  @Test func eachNodeHasItsOwnAndNewOnesTakeTheirPlace() throws {
    let (one, two) = (try make("n1"), try make("n2"))
    #expect(one.clientKey != two.clientKey)
    #expect(one.hostKey != two.hostKey)
    #expect(try make("n1").clientKey != one.clientKey)
    #expect(scratch.names() == ["n1.key", "n1.known", "n2.key", "n2.known"])
  }

  @Test func aProgramThatMakesNoKeysIsQuoted() throws {
    let node = try #require(NodeName("n1"))
    let error = #expect(throws: TunnelKeysError.self) {
      try TunnelKeys.make(
        for: node, in: try Directory.open(scratch.path), program: "/bin/false")
    }
    #expect(error?.said.contains("ssh-keygen: ") == true)
    #expect(scratch.names() == [])
  }
}

@Suite struct SrunDiagnosisTests {
  typealias Case = DiagnosisCase

  private static let closed = "Connection closed by UNKNOWN port 65535"

  private static let cases: [Case] = [
    Case(
      name: "no such job",
      lines: [
        "srun: error: Unable to confirm allocation for job 12: Invalid job id specified",
        "srun: Check SLURM_JOB_ID environment variable. Expired or invalid job 12", closed,
      ],
      said: "srun: error: Unable to confirm allocation for job 12: Invalid job id specified",
      advice: "job 12 has ended", retry: .never, isGone: true),
    Case(
      name: "the job has ended", lines: ["srun: error: Slurm job 12 has expired", closed],
      said: "srun: error: Slurm job 12 has expired", advice: "job 12 has ended", retry: .never,
      isGone: true),
    Case(
      name: "the job is ending",
      lines: [
        "srun: error: Unable to create step for job 12: Job/step already completing or completed",
        closed,
      ],
      said:
        "srun: error: Unable to create step for job 12: Job/step already completing or completed",
      advice: "job 12 has ended", retry: .never, isGone: true),
    Case(
      name: "SrunPortRange is used up",
      lines: [
        "srun: error: slurm_set_addr_ports: all ports in range (60001, 60006) exhausted, cannot establish listening port",
        "srun: error: Unable to create step for job 12: Unspecified error", closed,
      ],
      said:
        "srun: error: slurm_set_addr_ports: all ports in range (60001, 60006) exhausted, cannot establish listening port",
      advice: "SrunPortRange of slurm.conf is used up", retry: .untilTimeout),
    Case(
      name: "a detour is no reason",
      lines: [
        "spunnel-sshd: cannot connect back to 10.0.0.1, port 4: Connection refused: the tunnel goes: ask",
        closed,
      ],
      said: closed, advice: "hostname works", retry: .briefly),
    Case(
      name: "busy",
      lines: ["srun: error: Unable to create step for job 12: Requested nodes are busy", closed],
      said: "srun: error: Unable to create step for job 12: Requested nodes are busy",
      advice: "another step holds job 12", retry: .never),
    Case(
      name: "no steps now",
      lines: [
        "srun: Job 12 step creation temporarily disabled, retrying (Prolog running)"
      ],
      said: "srun: Job 12 step creation temporarily disabled, retrying (Prolog running)",
      advice: "Slurm starts no step now", retry: .untilTimeout),
    Case(
      name: "another refusal",
      lines: ["srun: error: Unable to create step for job 12: Access/permission denied", closed],
      said: "srun: error: Unable to create step for job 12: Access/permission denied",
      advice: "srun --overlap --jobid=12 -w n1 hostname", retry: .never),
    Case(
      name: "Spunnel is not on the node",
      lines: [
        "srun: error: n1: task 0: Exited with exit code 2",
        "slurmstepd-n1: error: execve(): /opt/x/spunnel-sshd: No such file or directory", closed,
      ],
      said: "slurmstepd-n1: error: execve(): /opt/x/spunnel-sshd: No such file or directory",
      advice: "install Spunnel on n1 too", retry: .never),
    Case(
      name: "what the program on the node says, with its advice",
      lines: [
        "spunnel-sshd: run /usr/sbin/sshd: Exec format error: ask your administrator to mend it",
        closed,
      ],
      said: "n1: run /usr/sbin/sshd: Exec format error",
      advice: "ask your administrator to mend it", retry: .never),
    Case(
      name: "the node does not start it",
      lines: [
        "srun: error: Task launch for StepId=12.3 failed on node n1: Communication connection failure",
        "srun: error: Application launch failed: Communication connection failure", closed,
      ],
      said:
        "srun: error: Task launch for StepId=12.3 failed on node n1: Communication connection failure",
      advice: "n1 does not start the step", retry: .briefly),
    Case(
      name: "a login that sshd refuses",
      lines: [
        "User alice from UNKNOWN not allowed because shell /bin/zsh does not exist",
        "alice@n1: Permission denied (publickey).",
      ],
      said: "User alice from UNKNOWN not allowed because shell /bin/zsh does not exist",
      advice: "your account on n1", retry: .never),
    Case(
      name: "another sshd", lines: ["Host key verification failed."],
      said: "Host key verification failed", advice: "not what Spunnel started", retry: .never),
    Case(
      name: "what is said when nothing is wrong is no reason",
      lines: [
        closed, "srun: cluster configuration lacks support for cpu binding",
        "Accepted publickey for alice from UNKNOWN port 65535 ssh2: ED25519 SHA256:x",
        "channel 2: open failed: connect failed: Connection refused",
        "connect_to localhost port 8000: failed.",
      ],
      said: closed, advice: "hostname works", retry: .briefly),
    Case(
      name: "nothing was said", lines: [], said: "ssh ended with status 255",
      advice: "hostname works", retry: .briefly),
  ]

  @Test(arguments: cases)
  func known(testCase: Case) throws {
    let diagnosis = SSHDiagnosis(lines: testCase.lines, through: try way(), exitCode: 255)
    #expect(diagnosis.said == testCase.said)
    #expect(diagnosis.advice.contains(testCase.advice))
    #expect(diagnosis.retry == testCase.retry)
    #expect(diagnosis.jobIsGone == testCase.isGone)
    #expect(!diagnosis.message.contains { $0.isNewline })
  }

  @Test func whileItIsUnderWaySilenceIsTold() throws {
    let silent = SSHDiagnosis(lines: [], pending: try way(), seconds: 15)
    #expect(silent.said == "no answer within 15 seconds")
    let line = "srun: Job 12 step creation still disabled, retrying (Requested nodes are busy)"
    #expect(SSHDiagnosis(lines: [line], pending: try way(), seconds: 15).said == line)
  }

  @Test func aDetourIsKnownByItsLine() {
    let line =
      "spunnel-sshd: cannot connect back to 10.0.0.1, port 4: Connection refused: the tunnel goes "
      + "through srun and is slow"
    #expect(
      SSHDiagnosis.detour(line)?.hasPrefix("cannot connect back to 10.0.0.1, port 4: ") == true)
    #expect(SSHDiagnosis.detour("srun: error: cannot connect back to 10.0.0.1") == nil)
  }
}
