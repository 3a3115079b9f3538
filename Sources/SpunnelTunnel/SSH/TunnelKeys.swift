// The keys of a tunnel through srun: made for it alone, known to nobody else, gone with it.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// Two key pairs. The keeper's stays in the record; of the other one, the sshd's, only the public
/// half does.
public struct TunnelKeys: Equatable, Sendable {
  /// What sshd's key is called, whatever host it is on (ssh_config(5), `HostKeyAlias`).
  static let alias = "spunnel"
  /// Milliseconds that ssh-keygen may take: it waits for nothing.
  private static let patience = 5000

  /// Path of the keeper's private key (ssh_config(5), `IdentityFile`).
  let identity: String
  /// Path of a file that knows sshd's key (ssh_config(5), `UserKnownHostsFile`).
  let knownHosts: String
  /// sshd's private key: the base64 of its file without line ends and frame.
  let hostKey: String
  /// The keeper's public key: type and base64.
  let clientKey: String

  /// Makes the keys; those of an earlier call are replaced.
  ///
  /// - Parameters:
  ///   - node: whose name the files bear
  ///   - directory: the record's, of mode 0700
  ///   - program: path of ssh-keygen
  public static func make(
    for node: NodeName, in directory: borrowing Directory, program: String
  ) throws(TunnelKeysError) -> TunnelKeys {
    let identity = "\(node).key"
    let host = "\(node).host"
    let known = "\(node).known"
    defer { for name in [host, host + ".pub", identity + ".pub"] { directory.remove(name) } }
    for name in [identity, host] { try generate(name, in: directory, program) }
    let hostKey = try text(host, in: directory).split(separator: "\n")
      .filter { !$0.hasPrefix("-----") }.joined()
    let hostPublic = typeAndKey(try text(host + ".pub", in: directory))
    let clientKey = typeAndKey(try text(identity + ".pub", in: directory))
    do throws(SystemError) {
      try directory.replace(known, with: Array("\(alias) \(hostPublic)\n".utf8))
    } catch { throw .system(error) }
    return TunnelKeys(
      identity: directory.path + "/" + identity, knownHosts: directory.path + "/" + known,
      hostKey: hostKey, clientKey: clientKey)
  }

  private static func generate(
    _ name: String, in directory: borrowing Directory, _ program: String
  ) throws(TunnelKeysError) {
    // It asks before it writes over another.
    for old in [name, name + ".pub"] { directory.remove(old) }
    let words = ["-q", "-t", "ed25519", "-N", "", "-C", alias, "-f", directory.path + "/" + name]
    let keygen = Program(program, words, environment: Process.withoutLibraries())
    let result: ProgramResult
    do throws(SystemError) { result = try keygen.capture(milliseconds: patience) } catch {
      throw .system(error)
    }
    if !result.succeeded { throw .refused(result.lastLine) }
  }

  private static func text(
    _ name: String, in directory: borrowing Directory
  ) throws(TunnelKeysError) -> String {
    do throws(SystemError) {
      return String(decoding: try directory.read(name, atMost: 1 << 14), as: UTF8.self)
    } catch { throw .system(error) }
  }
}

/// Type and key of a public key, without the comment (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
///
/// - Parameter text: the content of the key's `.pub` file
public func typeAndKey(_ text: String) -> String {
  text.split(whereSeparator: { $0 == " " || $0 == "\n" }).prefix(2).joined(separator: " ")
}

/// Why there are no keys.
public enum TunnelKeysError: Error, Equatable {
  case system(SystemError)
  /// ssh-keygen's last line.
  case refused(String)

  var said: String {
    switch self {
    case .system(let error): "\(error)"
    case .refused(let line): "ssh-keygen: \(printable(line))"
    }
  }
}
