// Runs shell scripts on other hosts at the same time, by the user's own ssh.

import Glibc
import SpunnelSystem

/// Logins to the hosts of a cluster.
struct HostShell {
  /// Milliseconds that all hosts together have for their scripts.
  private static let patience = 60_000
  private static let longestAnswer = 1 << 20
  /// The beginning of an answer's lines. Other lines come from the login shell.
  static let mark = "spunnel "

  private let ssh: String
  /// A private folder for the output of ssh.
  private let folder: String

  init(folder: String) throws(ClusterError) {
    guard let ssh = Program.find("ssh") else {
      throw .missing([MissingProgram(name: "ssh", debian: "openssh-client", fedora: "openssh")])
    }
    self.ssh = ssh
    self.folder = folder
  }

  /// Runs a script on each host, and waits for all of them.
  ///
  /// - Parameter scripts: a script for /bin/sh for each host's name
  /// - Returns: the lines of the answers, without their mark
  /// - Throws: `host` for the first host that failed
  func run(_ scripts: [(host: String, text: String)]) throws(ClusterError) -> [String: [String]] {
    var started: [(host: String, id: pid_t)] = []
    for (host, text) in scripts {
      started.append(
        (host, try working { () throws(SystemError) in try start(host, Array(text.utf8)) }))
    }
    var failure: ClusterError?
    var answers: [String: [String]] = [:]
    let deadline = Clock.milliseconds() + HostShell.patience
    for (host, id) in started {
      let status = HostShell.outcome(of: id, until: deadline)
      let lines = self.lines(host)
      answers[host] = lines.filter { $0.hasPrefix(HostShell.mark) }
        .map { String($0.dropFirst(HostShell.mark.count)) }
      if status != 0, failure == nil {
        let words = status == nil ? "it did not answer in time" : lines.last ?? "ssh ended"
        failure = .host(host, lastWords: HostShell.reason(words))
      }
    }
    if let failure { throw failure }
    return answers
  }

  private static func reason(_ line: String) -> String {
    let failed = mark + "failed "
    return line.hasPrefix(failed) ? String(line.dropFirst(failed.count)) : line
  }

  private func start(_ host: String, _ script: [UInt8]) throws(SystemError) -> pid_t {
    // The script may hold the cluster's key, so the file is unlinked before ssh reads it.
    let path = folder + "/ssh-script"
    let input = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW)
    _ = unsafe unlink(path)
    try input.writeAll(script)
    try check("lseek") { lseek(input.raw, 0, SEEK_SET) }
    let output = try FileDescriptor.open(
      answerPath(host), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW)
    let program = Program(
      path: ssh,
      arguments: [
        "ssh", "-T", "-x", "-a", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o",
        "ClearAllForwardings=yes", "-o", "RemoteCommand=none", "-o", "LogLevel=ERROR", host,
        "/bin/sh", "-s",
      ], environment: Process.withoutLibraries(),
      descriptors: [input.raw, output.raw, output.raw])
    return try program.start()
  }

  private func answerPath(_ host: String) -> String { "\(folder)/ssh-\(host).log" }

  private func lines(_ host: String) -> [String] {
    guard let file = try? FileDescriptor.open(answerPath(host), O_RDONLY | O_NOFOLLOW),
      let bytes = try? file.content(expecting: 0, atMost: HostShell.longestAnswer)
    else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
      .map(String.init)
  }

  /// - Returns: the exit status; `nil` when the child was ended at the deadline
  private static func outcome(of child: pid_t, until deadline: Int) -> Int? {
    while true {
      if case .ended(let status) = Process.poll(child) { return status }
      if Clock.milliseconds() >= deadline {
        Process.end(group: child, patience: 500)
        return nil
      }
      usleep(2000)
    }
  }
}

/// Encodes bytes like base64(1): RFC 4648, 76 characters a line.
func base64(_ bytes: [UInt8]) -> String {
  let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var text: [UInt8] = []
  for (index, begin) in stride(from: 0, to: bytes.count, by: 3).enumerated() {
    let piece = bytes[begin..<min(begin + 3, bytes.count)]
    let number = piece.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - piece.count))
    for place in 0..<4 {
      let letter = letters[number >> (6 * (3 - place)) & 63]
      text.append(place <= piece.count ? letter : UInt8(ascii: "="))
    }
    if index % 19 == 18 { text.append(10) }
  }
  return String(decoding: text, as: UTF8.self)
}
