// What ssh would do by itself for a node, as `ssh -G` tells: the user's and the site's
// configuration and the defaults of this version. What a person decided is left as it is.

public struct SSHConfiguration: Equatable, Sendable {
  /// The fastest where the processor knows AES, and not the first by default.
  private static let fastCipher = "aes128-gcm@openssh.com"

  private var values: [String: String] = [:]

  /// Nothing is known: ssh is too old to tell, or refuses its configuration.
  init() {}

  /// - Parameter text: a line for each option, the name in lower case, a space, the value
  public init(_ text: String) {
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1)
      if parts.count == 2, values[String(parts[0])] == nil {
        values[String(parts[0])] = String(parts[1])
      }
    }
  }

  /// Options that this version knows and whose effect would break a tunnel.
  var needed: [String] {
    // In the background it would outlive its keeper (OpenSSH 8.7 and later).
    values["forkafterauthentication"] == "yes" ? ["ForkAfterAuthentication=no"] : []
  }

  /// The hosts that ssh jumps over, unless that is left to ssh.
  public func jumpHosts(_ settings: Settings) -> JumpHosts? {
    // A configuration file of the site's is for those hosts as well, and ssh hands it on.
    if settings.sshArguments.contains(where: { $0.hasPrefix("-F") }) { return nil }
    return JumpHosts(values["proxyjump"])
  }

  /// How ssh jumps over other hosts, where it would: by connections of this tunnel's own.
  ///
  /// - Parameter settings: the program and the site's arguments
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

  /// Options that nobody has set and that a tunnel is better with.
  ///
  /// - Parameter timeout: seconds that srun waits
  func preferred(timeout: Int) -> [String] {
    var options: [String] = []
    if ["none", "0"].contains(values["connecttimeout"]) {
      options.append("ConnectTimeout=\(max(1, timeout - 1))")
    }
    if values["serveraliveinterval"] == "0" { options.append(KeepAlive.direct.intervalOption) }
    // The same ciphers in another order: none that a policy has taken out comes back.
    let ciphers = values["ciphers"]?.split(separator: ",").map(String.init) ?? []
    if ciphers.contains(SSHConfiguration.fastCipher) {
      let others = ciphers.filter { $0 != SSHConfiguration.fastCipher }
      options.append("Ciphers=" + ([SSHConfiguration.fastCipher] + others).joined(separator: ","))
    }
    return options
  }
}
