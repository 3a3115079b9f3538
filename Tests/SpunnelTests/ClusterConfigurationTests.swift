// The text of a cluster's configuration files, and which process is which daemon.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelCluster
@testable import SpunnelSlurm
@testable import SpunnelTunnel

private let layout = Layout(name: .standard, folder: "/s/default", root: "/s/default")

private func configuration(
  _ request: ShapeRequest = ShapeRequest(), bothFamilies: Bool = true, nameIsLoopback: Bool = false
) -> SlurmConfiguration {
  let machine = Machine(processors: 4, memory: MemorySize(mebibytes: 8000))
  let shape = Shape(request, on: machine)
  return SlurmConfiguration(
    layout: layout, shape: shape,
    ports: Ports(
      controller: 1001, sshd: 1002, nodes: shape.nodeNames.indices.map { UInt16(2001 + $0) }),
    user: 71001,
    network: .init(hasBothFamilies: bothFamilies, nameIsLoopback: nameIsLoopback),
    nothing: "/bin/true", pluginFolder: nil)
}

@Suite struct SlurmConfigurations {
  private func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }

  @Test func trustMungeAloneAndTheUserByNumber() {
    let lines = lines(configuration().text)
    for line in [
      "AuthType=auth/munge", "CredType=cred/munge", "SlurmUser=71001", "SlurmdUser=71001",
      "AuthInfo=socket=/s/default/munge.socket", "SlurmctldHost=localhost(127.0.0.1)",
      "SlurmctldPort=1001", "JobAcctGatherParams=OverMemoryKill,UsePss", "Epilog=/bin/true",
      "PrEpPlugins=\"\"",
      "TaskPlugin=task/affinity", "PriorityType=priority/basic", "DefMemPerCPU=2000",
      "NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=2001 CPUs=4 RealMemory=8000",
    ] {
      #expect(lines.contains(line), "\(line)")
    }
  }

  @Test func everyLineIsAnOptionOrAComment() {
    for line in lines(configuration().text) where !line.hasPrefix("#") {
      #expect(line.split(separator: "=", maxSplits: 1).count == 2, "\(line)")
    }
  }

  @Test func networkDecidesHowNamesAreLookedUp() {
    func communication(_ configuration: SlurmConfiguration) -> String? {
      lines(configuration.text).first { $0.hasPrefix("CommunicationParameters=") }
    }
    #expect(communication(configuration()) == "CommunicationParameters=EnableIPv6")
    #expect(
      communication(configuration(nameIsLoopback: true))
        == "CommunicationParameters=EnableIPv6,NoInAddrAny,NoCtldInAddrAny")
    #expect(communication(configuration(bothFamilies: false)) == nil)
  }

  @Test func nodesGPUsAndPolicy() {
    var request = ShapeRequest()
    request.nodes = 2
    request.gpus = 1
    request.policy = .largestFirst
    let lines = lines(configuration(request).text)
    #expect(lines.contains("GresTypes=gpu"))
    #expect(lines.contains("PriorityWeightTRES=CPU=1000000"))
    #expect(lines.contains("TaskPlugin=task/none"))
    #expect(lines.contains { $0.hasPrefix("NodeName=n2 ") && $0.hasSuffix(" Gres=gpu:1") })
    #expect(
      SlurmConfiguration.gpus(devices: ["/dev/a0", "/dev/a1"])
        == "AutoDetect=off\nName=gpu File=/dev/a0\nName=gpu File=/dev/a1\n")
    #expect(SlurmConfiguration.gpus(devices: []) == "")
  }

  @Test(arguments: [
    ("slurm 20.11.9\n", ""), ("slurm-wlm 22.05.8\n", "CgroupPlugin=cgroup/v1\n"),
    ("slurm 21.08.8-2", "CgroupPlugin=cgroup/v1\n"), ("slurm 23.11.0", "CgroupPlugin=cgroup/v1\n"),
    ("slurm 24.05.0-0rc1", "CgroupPlugin=disabled\n"), ("slurm 26.05.3", "CgroupPlugin=disabled\n"),
    ("", ""), ("slurm", ""), ("slurm x.y", ""),
  ])
  func letSlurmdStartWhateverTheControlGroups(_ version: String, _ text: String) {
    #expect(SlurmConfiguration.controlGroups(of: SlurmVersion(version)) == text)
  }

  @Test func thePluginIsReadAsThePluginReadsIt() {
    let login = getuid() == 0 ? "" : " login_env=no"
    #expect(
      configuration().plugins
        == "optional /s/default/plugin/spunnel.so ssh_args=-F|/s/default/ssh_config\(login)\n")
  }
}

@Suite struct SSHConfigurations {
  private let ssh = ClusterSSH(layout: layout, port: 1002)

  @Test func keysAreTakenWithoutTheirComments() {
    #expect(
      ssh.knownHosts(hostKey: "ssh-ed25519 AAAA a comment\n")
        == "spunnel-default ssh-ed25519 AAAA\n")
    #expect(
      ssh.authorizedKeys(clientKey: "ssh-ed25519 BBBB\n")
        == "restrict,port-forwarding ssh-ed25519 BBBB\n")
  }

  @Test func theServerIsOnLoopbackAndOnlyForwards() {
    for line in [
      "ListenAddress 127.0.0.1:1002", "AllowTcpForwarding yes", "UsePAM no",
      "PasswordAuthentication no", "PermitTTY no", "PermitListen localhost:* 127.0.0.1:* [::1]:*",
      "AllowStreamLocalForwarding yes",
      "AuthorizedKeysFile /s/default/keys/authorized.%U",
    ] {
      #expect(ssh.server.split(separator: "\n").contains(Substring(line)), "\(line)")
    }
  }
}

@Suite struct Daemons {
  private func daemon(_ arguments: [String]) -> Daemon? {
    Daemon(ProcessEntry(id: 1, arguments: arguments), of: layout)
  }

  @Test func areKnownByTheFilesThatTheyWereStartedWith() {
    #expect(daemon(["slurmctld", "-D", "-f", "/s/default/slurm.conf"]) == .controller)
    #expect(daemon(["slurmd", "-D", "-N", "n2", "-f", "/s/default/slurm.conf"]) == .node("n2"))
    #expect(daemon(["munged", "--socket=/s/default/munge.socket"]) == .munged)
    #expect(daemon(["sshd: /usr/sbin/sshd -D -f /s/default/sshd_config [listener] 0 of"]) == .sshd)
  }

  @Test func ofAnotherClusterOrNoDaemonsAreNot() {
    #expect(daemon(["slurmctld", "-D", "-f", "/s/default2/slurm.conf"]) == nil)
    #expect(daemon(["vi", "/s/default/slurm.conf"]) == nil)
    #expect(daemon(["sshd: user1 [priv]"]) == nil)
    #expect(daemon(["munged", "--socket=/s/default/munge.socket2"]) == nil)
  }
}

@Suite struct LastWords {
  @Test func areTheFirstErrorAndTheLastWithoutTheirTimes() {
    #expect(
      Launcher.reason(in: [
        "[2026-01-02T03:04:05.678] Node reconfigured",
        "[2026-01-02T03:04:05.679] error: Hybrid mode is not supported.",
        "[2026-01-02T03:04:05.680] error: cannot create cgroup context",
        "[2026-01-02T03:04:05.681] error: slurmd initialization failed",
        "[2026-01-02T03:04:05.682] Slurmd shutdown completing",
      ]) == "error: Hybrid mode is not supported. … error: slurmd initialization failed")
  }

  @Test func areTheFatalOneWhateverIsSaidAfterIt() {
    let lines = ["[t] error: a", "[t] fatal: b", "[t] error: c"]
    #expect(Launcher.reason(in: lines) == "error: a … fatal: b")
    #expect(Launcher.reason(in: ["[t] fatal: b", "[t] error: c"]) == "fatal: b")
  }

  @Test func areOneLineOnceOrTheLastOne() {
    #expect(Launcher.reason(in: ["munged: Error: no key", "bye"]) == "munged: Error: no key")
    #expect(Launcher.reason(in: ["[t] begin", "[no time"]) == "[no time")
    #expect(Launcher.reason(in: []) == nil)
  }
}

@Suite struct ClusterErrors {
  @Test func missingProgramsNameTheirPackagesOnce() {
    let missing = [
      MissingProgram(name: "slurmd", debian: "slurmd", fedora: "slurm-slurmd"),
      MissingProgram(name: "slurmstepd", debian: "slurmd", fedora: "slurm-slurmd"),
    ]
    let text = ClusterError.missing(missing).description
    #expect(text.contains("slurmd (Debian: slurmd; Fedora: slurm-slurmd), slurmstepd (Debian"))
    #expect(text.contains("apt install slurmd, or dnf install slurm-slurmd;"))
  }

  @Test func jobsAreNamedButNotByTheHundred() {
    let jobs = (1...12).map { RunningJob(id: String($0), name: "job") }
    let text = ClusterError.busy(.standard, jobs).description
    #expect(text.hasPrefix("12 jobs are running: 1 (job), 2 (job)"))
    #expect(text.contains("10 (job) and 2 more; down --wait waits for them"))
  }
}
