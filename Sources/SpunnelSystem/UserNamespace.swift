// Users whom this process's user namespace does not know (user_namespaces(7)), as in a rootless container.

import Glibc

/// What a user id says here.
public enum UserNamespace {
  /// Stands for every user that the user namespace does not know, and so for nobody in particular
  /// (/proc/sys/kernel/overflowuid).
  private static let overflow: uid_t =
    content("/proc/sys/kernel/overflowuid").flatMap { uid_t($0) } ?? 65534

  /// Whether there are users that it does not know.
  private static let isPartial =
    content("/proc/self/uid_map").map { $0.split(separator: " ") != ["0", "0", "4294967295"] }
    ?? false

  /// Whether a user id may be anybody's. It owns nothing, whoever has it.
  public static func isUnknown(_ user: uid_t) -> Bool { user == overflow }

  /// Half a sentence about something of that user's, with what to do.
  static func belonging(to user: uid_t) -> String {
    isUnknown(user) && isPartial ? stranger : "it belongs to uid \(user)"
  }

  /// Half a sentence about what is of a user's that is not known here.
  public static let stranger =
    "its owner is unknown in this user namespace (a rootless container): type the command outside of the "
    + "container"

  /// The first line of a small file of the kernel's; empty in a user namespace that knows nobody.
  private static func content(_ path: String) -> String? {
    guard let file = try? FileDescriptor.open(path, O_RDONLY),
      let bytes = try? file.content(expecting: 64, atMost: 4096)
    else { return nil }
    return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
  }
}
