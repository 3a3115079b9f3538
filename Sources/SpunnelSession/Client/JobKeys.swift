// The keys of ssh into jobs: made once for a user, kept in the user's home, asked for by nobody.

import Glibc
import SpunnelSystem

/// Two key pairs: the one that lets ssh in, and the one by which ssh knows the sshd in the job.
package struct JobKeys: Equatable, Sendable {
  /// What the sshd in a job is called in known_hosts, whatever node it is on (ssh_config(5), `HostKeyAlias`).
  package static let alias = "spunnel-job"
  /// Milliseconds that ssh-keygen may take.
  private static let patience = 10_000
  /// The most bytes of public keys that are handed to a node: its sshd program takes no more.
  private static let longest = 8000

  /// The folder with all files, of mode 0700.
  package let folder: String

  package var identity: String { folder + "/id" }
  package var knownHosts: String { folder + "/known_hosts" }

  /// The keys of a folder, made when they are not there.
  ///
  /// - Parameter folder: absolute path; its parents are made with mode 0700
  package init(making folder: String) throws(JobKeysError) {
    self.folder = folder
    do throws(SystemError) {
      try Directory.createPath(folder)
      let directory = try Directory.open(folder)
      let attributes = try directory.attributes()
      guard attributes.st_uid == getuid(), attributes.st_mode & 0o077 == 0 else {
        throw SystemError("use \(folder): others may read or change it", EPERM)
      }
      // Two commands at once make one pair.
      _ = try directory.lock(waiting: true)
      defer { directory.unlock() }
      if directory.contains("known_hosts") { return }
      for name in ["id", "host"] { try JobKeys.generate(name, in: directory) }
      let host = JobKeys.typeAndKey(try JobKeys.text("host.pub", in: directory))
      try directory.replace("known_hosts", with: Array("\(JobKeys.alias) \(host)\n".utf8))
    } catch { throw JobKeysError(reason: "\(error)") }
  }

  /// The sshd's private key: the base64 of its file without line ends and frame.
  package func hostKey() throws(JobKeysError) -> String {
    try read("host").split(separator: "\n").filter { !$0.hasPrefix("-----") }.joined()
  }

  /// Type and base64 of the sshd's public key.
  package func publicHostKey() throws(JobKeysError) -> String {
    JobKeys.typeAndKey(try read("host.pub"))
  }

  /// The keys that let in: the one made here, and those by which the user logs in to this host, so that a
  /// laptop needs no key of ours.
  ///
  /// - Parameter authorized: the content of the user's authorized_keys
  package func clientKeys(authorized: String) throws(JobKeysError) -> [String] {
    var all = [JobKeys.typeAndKey(try read("id.pub"))]
    for key in JobKeys.plainKeys(authorized) where !all.contains(key) {
      if all.reduce(key.utf8.count, { $0 + $1.utf8.count + 1 }) > JobKeys.longest { break }
      all.append(key)
    }
    return all
  }

  /// The keys of an authorized_keys file that stand there without options: a key with options is restricted,
  /// and lets nobody into a job (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
  static func plainKeys(_ text: String) -> [String] {
    let types = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"]
    return text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count >= 2, types.contains(where: { words[0].hasPrefix($0) }),
        words[0].utf8.allSatisfy(isKeyByte), words[1].utf8.allSatisfy(isKeyByte)
      else { return nil }
      return "\(words[0]) \(words[1])"
    }
  }

  /// What spunnel-sshd takes in a key.
  private static func isKeyByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"),
      UInt8(ascii: "="), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  private func read(_ name: String) throws(JobKeysError) -> String {
    do throws(SystemError) { return try JobKeys.text(name, in: try Directory.open(folder)) } catch {
      throw JobKeysError(reason: "\(error)")
    }
  }

  private static func text(
    _ name: String, in directory: borrowing Directory
  ) throws(SystemError) -> String {
    String(decoding: try directory.read(name, atMost: 1 << 14), as: UTF8.self)
  }

  private static func generate(
    _ name: String, in directory: borrowing Directory
  ) throws(SystemError) {
    guard let path = Program.find("ssh-keygen") else {
      throw SystemError("find ssh-keygen on PATH", ENOENT)
    }
    // It asks before it writes over another.
    for old in [name, name + ".pub"] { directory.remove(old) }
    let keygen = Program(
      path, ["-q", "-t", "ed25519", "-N", "", "-C", alias, "-f", directory.path + "/" + name],
      environment: Process.environment())
    if !(try keygen.capture(milliseconds: patience)).succeeded {
      throw SystemError("make keys with \(path)", EIO)
    }
  }

  private static func typeAndKey(_ text: String) -> String {
    text.split(whereSeparator: { $0 == " " || $0 == "\n" }).prefix(2).joined(separator: " ")
  }
}

package struct JobKeysError: Error, Equatable {
  package let reason: String
}
