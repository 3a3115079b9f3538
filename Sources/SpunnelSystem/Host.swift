// Who and where we are, for messages.

import Glibc

/// This host and this user.
public enum Host {
  /// This host's name, as gethostname(2) gives it.
  public static var name: String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return "this host" }
    let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The login name of this process's user, or its number.
  public static var userName: String { userName(of: getuid()) }

  /// A user's login name, or the number.
  public static func userName(of user: uid_t) -> String {
    guard let entry = unsafe getpwuid(user), let name = unsafe entry.pointee.pw_name else {
      return String(user)
    }
    return unsafe String(cString: name)
  }

  /// The absolute path of this process's program, without links, as it was at the first look: since then
  /// another may have been installed in its place.
  public static let executable: String? = try? realPath("/proc/self/exe")

  /// The folder of this process's program, where others lie that were installed with it.
  public static var programFolder: String? {
    guard let executable, let slash = executable.lastIndex(of: "/") else { return nil }
    return String(executable[..<slash])
  }
}
