// The user who has mounted the file system at a path, as the kernel reports it. The file system
// itself is not asked.

import CSystem
import Glibc

/// A mount, as /proc/self/mountinfo describes it (proc(5)).
struct Mount: Equatable {
  let number: Int
  /// The type, such as `ext4` or `fuse.sshfs`.
  let type: Substring
  /// The user whose process serves the file system (fuse(4), `user_id=`); `nil` if the kernel
  /// serves it.
  let server: uid_t?

  /// Parses a line.
  ///
  /// - Parameter line: of /proc/self/mountinfo
  /// - Returns: `nil` if the line is malformed
  init?(_ line: some StringProtocol) {
    // The optional fields in the middle end with a dash.
    let words = String(line).split(separator: " ")
    guard let first = words.first, let number = Int(first), let dash = words.firstIndex(of: "-"),
      words.count > dash + 3
    else { return nil }
    self.number = number
    type = words[dash + 1]
    let user = words[dash + 3].split(separator: ",").first { $0.hasPrefix("user_id=") }
    let isServed = type == "fuse" || type == "fuseblk" || type.hasPrefix("fuse.")
    server = isServed ? user.flatMap { uid_t($0.dropFirst("user_id=".utf8.count)) } ?? .max : nil
  }

  /// The mount of an open file.
  ///
  /// - Parameter descriptor: of a file or directory on the mount
  /// - Returns: `nil` if the mount is unknown
  static func of(_ descriptor: CInt) -> Mount? {
    let number = Int(csystem_mount_of(descriptor))
    guard number >= 0,
      let table = try? FileDescriptor.open("/proc/self/mountinfo", O_RDONLY),
      let content = try? table.content(expecting: 1 << 16, atMost: 1 << 26)
    else { return nil }
    let start = Array("\(number) ".utf8)
    for line in content.split(separator: 10) where line.starts(with: start) {
      if let mount = Mount(String(decoding: line, as: UTF8.self)) { return mount }
    }
    return nil
  }
}

extension Directory {
  /// Opens a directory inside this one that is a mount point. If others may write to this
  /// directory, they may own the mount point and mount any file system there. Such a file system
  /// (fuse(4)) shows any owner and mode, and it may never answer, so it is not asked anything.
  ///
  /// - Returns: the directory, or half a sentence that says why it was not opened
  borrowing func enter(_ name: String, user: uid_t) throws(SystemError) -> Entry {
    let isUp = name == ".."
    if !isUp, try attributes().st_mode & 0o022 != 0 {
      return .refused("something is mounted there, and others may write to '\(path)'")
    }
    let place = try referenceAcross(name)
    if let server = Mount.of(place.descriptor.raw)?.server, server != 0, server != user {
      return .refused("it is a file system of uid \(server)")
    }
    return .entered(place)
  }

  /// The result of opening a mount point.
  enum Entry: ~Copyable {
    case entered(Directory)
    case refused(String)
  }
}
