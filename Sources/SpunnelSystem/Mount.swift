// Who has mounted what lies at a path, as the kernel tells it: no file system is asked.

import CSystem
import Glibc

/// A mount as /proc/self/mountinfo describes it (proc(5)).
struct Mount: Equatable {
  let number: Int
  /// As in `ext4` or `fuse.sshfs`.
  let type: Substring
  /// The user whose process serves it (fuse(4), `user_id=`); `nil` where the kernel does.
  let server: uid_t?

  /// - Parameter line: of /proc/self/mountinfo
  /// - Returns: `nil` for a line that is none
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

  /// - Parameter descriptor: of something that lies on it
  /// - Returns: `nil` when nothing is known of it
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
  /// Goes to a directory of this one that something is mounted at.
  ///
  /// - Returns: the directory, or half a sentence on why it is not gone to. Where others may write, its owner
  ///   may mount what he likes, and elsewhere in a directory of his own: a file system of his (fuse(4)) shows
  ///   any owner and mode, and may never answer. So nothing is asked of it.
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

  /// What became of going there.
  enum Entry: ~Copyable {
    case entered(Directory)
    case refused(String)
  }
}
