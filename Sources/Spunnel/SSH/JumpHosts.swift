// The hosts that ssh jumps over on its way to a node (ssh_config(5), `ProxyJump`). The ssh that does so
// reads the user's configuration for them, and may be told there to ask, to stay behind as a control
// master, to ride on another connection that then ends with the tunnel, to run commands or not to read
// its input. ssh has no way to tell it otherwise, so it is started as a `ProxyCommand` of ours.

struct JumpHosts: Equatable {
  /// In the order of the way, as in `user@gate:2222`.
  private let hosts: [String]

  /// - Parameter text: as `ssh -G` tells it
  /// - Returns: `nil` where there are none, or one is written with what a shell might not take as it is
  init?(_ text: String?) {
    guard let text, text != "none" else { return nil }
    hosts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard hosts.allSatisfy(JumpHosts.isPlain) else { return nil }
  }

  /// - Parameters:
  ///   - ssh: the program, with its words
  ///   - options: words for `-o`, at each host
  /// - Returns: the value of `ProxyCommand`, for a shell; ssh expands its `%h` and `%p`
  func proxyCommand(_ ssh: [String], options: [String]) -> String {
    var command = ""
    for host in hosts {
      var words = ssh + ["-T", "-a", "-x"] + SSHCommand.options(options)
      if !command.isEmpty {
        words += ["-o", "ProxyCommand=" + JumpHosts.unexpanded(command)]
      }
      words += ["-W", "[%h]:%p", "--", "ssh://" + host]
      command = words.map(JumpHosts.quoted).joined(separator: " ")
    }
    return command
  }

  private static func isPlain(_ host: String) -> Bool {
    !host.isEmpty && host.first != "-"
      && host.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: "-"), UInt8(ascii: "@"), UInt8(ascii: ":"), UInt8(ascii: "["),
          UInt8(ascii: "]"):
          true
        default: false
        }
      }
  }

  /// One word for a shell.
  private static func quoted(_ word: String) -> String {
    "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
      + "'"
  }

  /// For the next ssh to expand, not for this one.
  private static func unexpanded(_ command: String) -> String {
    command.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
  }
}
