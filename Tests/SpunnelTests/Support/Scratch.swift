// A directory of a test's own, removed with all that is in it.

import Glibc
import SpunnelSystem

/// Whether tests can play two users.
let isRoot = geteuid() == 0

/// A user that is not the one who runs the tests.
let stranger: uid_t = 65533

final class Scratch {
  let path: String

  init() throws {
    ignoreBrokenPipes
    var template = Array("/tmp/spunnel-test.XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw SystemError("mkdtemp", errno) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Scratch.remove(path) }

  /// The names in it, sorted.
  func names(_ relative: String = "") -> [String] {
    guard let directory = try? Directory.open(path + relative) else { return [] }
    return ((try? directory.names()) ?? []).sorted()
  }

  func makeDirectory(_ name: String, mode: mode_t = 0o700) throws {
    try check("mkdir \(name)") { unsafe mkdir("\(path)/\(name)", 0o700) }
    try setMode(mode, of: name)
  }

  func setMode(_ mode: mode_t, of name: String) throws {
    try check("chmod \(name)") { unsafe chmod("\(path)/\(name)", mode) }
  }

  func write(_ text: String, to name: String, mode: mode_t = 0o600) throws {
    let file = try FileDescriptor.open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC)
    try file.writeAll(Array(text.utf8))
    try setMode(mode, of: name)
  }

  func read(_ name: String) throws -> String {
    let directory = try Directory.open(path)
    return String(decoding: try directory.read(name, atMost: 1 << 20), as: UTF8.self)
  }

  func makeLink(_ name: String, to target: String) throws {
    try check("symlink \(name)") { unsafe symlink(target, "\(path)/\(name)") }
  }

  func setOwner(_ user: uid_t, of name: String) throws {
    try check("chown \(name)") { unsafe lchown("\(path)/\(name)", user, gid_t.max) }
  }

  private static func remove(_ path: String) {
    if unsafe unlink(path) == 0 { return }
    if let directory = try? Directory.open(path) {
      for name in (try? directory.names()) ?? [] { remove(path + "/" + name) }
    }
    _ = unsafe rmdir(path)
  }
}
