// The keys of a tunnel through srun. They are made for one tunnel, kept secret, and removed with
// it.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// Two key pairs: the keeper's and that of the job's sshd. The record keeps the keeper's private
/// key and only the public half of sshd's.
public struct TunnelKeys: Equatable, Sendable {
  /// The name of sshd's key, whatever the host (ssh_config(5), `HostKeyAlias`).
  static let alias = "spunnel"
  /// Milliseconds that ssh-keygen may take. It waits for no input.
  private static let patience = 5000

  /// The path of the keeper's private key (ssh_config(5), `IdentityFile`).
  let identity: String
  /// The path of the file with sshd's public key (ssh_config(5), `UserKnownHostsFile`).
  let knownHosts: String
  /// sshd's private key: the base64 text of its file, without line ends and frame.
  let hostKey: String
  /// The keeper's public key: its type and base64 text.
  let clientKey: String

  /// Makes both key pairs, and replaces those of an earlier call.
  ///
  /// - Parameters:
  ///   - node: the node; its name begins the names of the files
  ///   - directory: the record's directory, of mode 0700
  ///   - program: the path of ssh-keygen
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
    // ssh-keygen asks before it overwrites a file.
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

/// The type and base64 text of a public key, without the comment (sshd(8), AUTHORIZED_KEYS FILE
/// FORMAT).
///
/// - Parameter text: the content of the key's `.pub` file
public func typeAndKey(_ text: String) -> String {
  text.split(whereSeparator: { $0 == " " || $0 == "\n" }).prefix(2).joined(separator: " ")
}

/// Why the keys could not be made.
public enum TunnelKeysError: Error, Equatable {
  case system(SystemError)
  /// ssh-keygen failed; the text is its last line.
  case refused(String)

  var said: String {
    switch self {
    case .system(let error): "\(error)"
    case .refused(let line): "ssh-keygen: \(printable(line))"
    }
  }
}
