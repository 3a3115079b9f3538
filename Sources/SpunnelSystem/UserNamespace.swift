// Users that this process's user namespace does not know (user_namespaces(7)), as in a rootless
// container.

import Glibc

/// The meaning of user ids in this user namespace.
public enum UserNamespace {
  /// The user id that stands for every unknown user, and so for no particular user
  /// (/proc/sys/kernel/overflowuid).
  private static let overflow: uid_t =
    content("/proc/sys/kernel/overflowuid").flatMap { uid_t($0) } ?? 65534

  /// Whether the user namespace lacks some users.
  private static let isPartial =
    content("/proc/self/uid_map").map { $0.split(separator: " ") != ["0", "0", "4294967295"] }
    ?? false

  /// Whether a user id stands for unknown users. Such a user id is never accepted as an owner.
  public static func isUnknown(_ user: uid_t) -> Bool { user == overflow }

  /// Half a sentence about the owner of a file or directory, with advice.
  static func belonging(to user: uid_t) -> String {
    isUnknown(user) && isPartial ? stranger : "it belongs to uid \(user)"
  }

  /// Half a sentence about a file or directory whose owner is unknown here.
  public static let stranger =
    "its owner is unknown in this user namespace (a rootless container): type the command outside of the "
    + "container"

  /// The first line of a small kernel file; empty in a user namespace without any mapping.
  private static func content(_ path: String) -> String? {
    guard let file = try? FileDescriptor.open(path, O_RDONLY),
      let bytes = try? file.content(expecting: 64, atMost: 4096)
    else { return nil }
    return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
  }
}
