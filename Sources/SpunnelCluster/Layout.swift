// The paths of a cluster. Everything lies in one folder of the user.

/// Where the parts of one cluster are.
public struct Layout: Equatable, Sendable {
  public let name: ClusterName
  /// The folder itself: `$XDG_STATE_HOME/spunnel/clusters/NAME`.
  public let folder: String
  /// The folder as configuration files call it: the same, or a short link to it without spaces.
  public let root: String

  public init(name: ClusterName, folder: String, root: String) {
    self.name = name
    self.folder = folder
    self.root = root
  }

  public var slurmConfiguration: String { root + "/slurm.conf" }
  public var sshdConfiguration: String { root + "/sshd_config" }
  public var sshConfiguration: String { root + "/ssh_config" }
  public var mungeKey: String { root + "/munge.key" }
  public var mungeSocket: String { root + "/munge.socket" }
  public var keys: String { root + "/keys" }
  public var state: String { root + "/state" }
  public var spool: String { root + "/spool" }
  public var log: String { root + "/log" }
  /// A link to where `spunnel.so` lies.
  public var plugin: String { root + "/plugin" }
  /// Links to programs whose own names are not the ones that are called.
  public var programs: String { root + "/bin" }

  /// The folders that `up` makes.
  static let folders = ["keys", "state", "spool", "log", "bin"]

  public func log(of daemon: String) -> String { log + "/" + daemon + ".log" }

  /// Whether configuration files can hold the path as it is. Slurm's split at spaces and end lines
  /// at `#`, plugstack.conf splits `ssh_args=` at `|`, ssh and Slurm expand `%`. The bound is for
  /// the sockets of job steps, `<folder>/spool/n99/n99_67108863.4294967291`, of which 107 bytes
  /// can be bound (unix(7)).
  public static func isPlain(_ path: String) -> Bool {
    path.utf8.count <= 68
      && path.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "/._-+".utf8.contains(byte)
        }
      }
  }

  /// The name of the short link: told apart from that of a like-named cluster in another folder.
  static func linkName(_ name: ClusterName, folder: String) -> String {
    // FNV-1a (RFC draft-eastlake-fnv): any even spread will do, the link's target is compared too.
    var hash: UInt32 = 2_166_136_261
    for byte in folder.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return "\(name)-" + String(hash, radix: 16)
  }
}
