// The host, the user and the program, for messages.

import Glibc

/// This host and this user.
public enum Host {
  /// The host's name as gethostname(2) gives it.
  public static var name: String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return "this host" }
    let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The login name of this process's user, or the user id.
  public static var userName: String { userName(of: getuid()) }

  /// The login name of a user, or the user id if it has no name.
  public static func userName(of user: uid_t) -> String {
    guard let entry = unsafe getpwuid(user), let name = unsafe entry.pointee.pw_name else {
      return String(user)
    }
    return unsafe String(cString: name)
  }

  /// The absolute path of this process's program, without symbolic links. It is read once, because
  /// another version may be installed in its place later.
  public static let executable: String? = try? realPath("/proc/self/exe")

  /// The folder of this process's program, in which its other programs lie too.
  public static var programFolder: String? {
    guard let executable, let slash = executable.lastIndex(of: "/") else { return nil }
    return String(executable[..<slash])
  }
}
