// What ssh would do for a node by itself, read from `ssh -G`: the configuration of user and site,
// and the defaults of this version. Explicit choices of user and site are kept.

/// The options of one host, as `ssh -G` prints them.
public struct SSHConfiguration: Equatable, Sendable {
  /// The fastest cipher on processors with AES instructions. It is not ssh's first choice.
  private static let fastCipher = "aes128-gcm@openssh.com"

  private var values: [String: String] = [:]

  /// An empty configuration: ssh is too old for `-G`, or it rejects its configuration.
  init() {}

  /// - Parameter text: one line for each option: its name in lower case, a space, its value
  public init(_ text: String) {
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1)
      if parts.count == 2, values[String(parts[0])] == nil {
        values[String(parts[0])] = String(parts[1])
      }
    }
  }

  /// Options of this version that would break a tunnel if they stayed as they are.
  var needed: [String] {
    // An ssh in the background would outlive its keeper (OpenSSH 8.7 and later).
    values["forkafterauthentication"] == "yes" ? ["ForkAfterAuthentication=no"] : []
  }

  /// The hosts that ssh jumps over; `nil` when there are none, or when the jump is left to ssh.
  public func jumpHosts(_ settings: Settings) -> JumpHosts? {
    // The site's `-F` file applies to the jump hosts as well, and ssh passes it on.
    if settings.sshArguments.contains(where: { $0.hasPrefix("-F") }) { return nil }
    return JumpHosts(values["proxyjump"])
  }

  /// Options that make ssh jump over other hosts by connections of this tunnel's own; empty when
  /// there is no jump.
  ///
  /// - Parameter settings: the ssh program and the site's arguments
  func jump(_ settings: Settings) -> [String] {
    guard let hosts = jumpHosts(settings) else { return [] }
    var options = [
      "BatchMode=yes", "ControlMaster=no", "ControlPath=none", "ControlPersist=no",
      "ClearAllForwardings=yes", "PermitLocalCommand=no", "RemoteCommand=none", "Tunnel=no",
      "LogLevel=INFO",
    ]
    for (name, option) in [
      ("forkafterauthentication", "ForkAfterAuthentication=no"), ("stdinnull", "StdinNull=no"),
    ] where values[name] == "yes" {
      options.append(option)
    }
    let command = hosts.proxyCommand(settings.sshCommand, options: options)
    return ["ProxyCommand=\(command)", "ProxyUseFdpass=no"]
  }

  /// Options that help a tunnel and that neither user nor site has set.
  ///
  /// - Parameter timeout: how long srun waits, in seconds
  func preferred(timeout: Int) -> [String] {
    var options: [String] = []
    if ["none", "0"].contains(values["connecttimeout"]) {
      options.append("ConnectTimeout=\(max(1, timeout - 1))")
    }
    if values["serveraliveinterval"] == "0" { options.append(KeepAlive.direct.intervalOption) }
    // The same ciphers in another order: a cipher that a policy removed stays removed.
    let ciphers = values["ciphers"]?.split(separator: ",").map(String.init) ?? []
    if ciphers.contains(SSHConfiguration.fastCipher) {
      let others = ciphers.filter { $0 != SSHConfiguration.fastCipher }
      options.append("Ciphers=" + ([SSHConfiguration.fastCipher] + others).joined(separator: ","))
    }
    return options
  }
}
