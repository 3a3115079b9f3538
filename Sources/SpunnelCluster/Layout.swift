// The paths of a cluster. All of them are in one folder of the user.

/// Where the files of one cluster are.
public struct Layout: Equatable, Sendable {
  public let name: ClusterName
  /// The cluster's folder, `$XDG_STATE_HOME/spunnel/clusters/NAME`.
  public let folder: String
  /// The same folder as configuration files name it: `folder`, or a short link to it.
  public let root: String

  public init(name: ClusterName, folder: String, root: String) {
    self.name = name
    self.folder = folder
    self.root = root
  }

  /// slurm.conf, which `SLURM_CONF` names.
  public var slurmConfiguration: String { root + "/slurm.conf" }
  /// The configuration of the cluster's sshd.
  public var sshdConfiguration: String { root + "/sshd_config" }
  /// The configuration of ssh for the cluster's tunnels.
  public var sshConfiguration: String { root + "/ssh_config" }
  /// The key that munged signs with.
  public var mungeKey: String { root + "/munge.key" }
  /// The socket of munged.
  public var mungeSocket: String { root + "/munge.socket" }
  /// The folder of the ssh keys.
  public var keys: String { root + "/keys" }
  /// The folder of the controller's state: the queue.
  public var state: String { root + "/state" }
  /// The folder with the spool of each node.
  public var spool: String { root + "/spool" }
  /// The folder of the logs.
  public var log: String { root + "/log" }
  /// A link to the folder of `spunnel.so` and `loopback.so`.
  public var plugin: String { root + "/plugin" }
  /// A folder of links to programs that are called by other names than their own.
  public var programs: String { root + "/bin" }

  /// The folders that `up` makes.
  static let folders = ["keys", "state", "spool", "log", "bin"]

  /// The path of a daemon's log.
  public func log(of daemon: String) -> String { log + "/" + daemon + ".log" }

  /// Whether configuration files can hold a path as it is.
  ///
  /// Slurm's files split at spaces and end a line at `#`, plugstack.conf splits `ssh_args=` at `|`,
  /// and ssh and Slurm expand `%`. The length is bounded for the sockets of job steps,
  /// `<folder>/spool/n99/n99_67108863.4294967291`: a socket's path has at most 107 bytes (unix(7)).
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

  /// The name of the short link. It includes a hash of the folder, because two folders may have
  /// clusters of one name.
  static func linkName(_ name: ClusterName, folder: String) -> String {
    // FNV-1a (draft-eastlake-fnv). Any even hash serves: the link's target is compared too.
    var hash: UInt32 = 2_166_136_261
    for byte in folder.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return "\(name)-" + String(hash, radix: 16)
  }
}
