// What the gate is told: a file in the session's directory, lines of a key and a value.

import SpunnelSystem

struct GateSettings: Equatable, Sendable {
  static let file = "gate"
  /// The file with the key of the newest address. Each attach writes another one.
  static let key = "key"
  /// The file with the password of the newest attach, for kinds that have one.
  static let password = "password"
  /// What stands for the password at the end of `next`.
  static let placeholder = "{password}"

  var cookie: String
  var secret: String
  /// The program's unix socket, where requests go.
  var backend: String?
  /// A field that is added to each request.
  var header: String?
  /// The folder of a page's files, for programs that have no page themselves.
  var files: String?
  /// The unix socket whose bytes a WebSocket of the page carries.
  var bridge: String?
  /// Where the session's page begins.
  var next: String

  init(job: String, secret: String, next: String) {
    cookie = "spunnel-" + job.map { $0.isNumber ? String($0) : "-" }.joined()
    self.secret = secret
    self.next = next
  }

  init?(text: String) {
    var values: [String: String] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1)
      if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
    }
    guard let cookie = values["cookie"], let secret = values["secret"], let next = values["next"]
    else { return nil }
    self.cookie = cookie
    self.secret = secret
    self.next = next
    backend = values["backend"]
    header = values["header"]
    files = values["files"]
    bridge = values["bridge"]
  }

  var text: String {
    let lines: [(String, String?)] = [
      ("cookie", cookie), ("secret", secret), ("next", next), ("backend", backend),
      ("header", header), ("files", files), ("bridge", bridge),
    ]
    return lines.compactMap { key, value in value.map { "\(key) \($0)\n" } }.joined()
  }

  static func read(in path: String) -> GateSettings? {
    guard let bytes = try? Directory.open(path).read(file, atMost: 1 << 16) else { return nil }
    return GateSettings(text: String(decoding: bytes, as: UTF8.self))
  }

  /// A one-line file of the session's directory.
  static func word(_ name: String, in path: String) -> String? {
    guard let bytes = try? Directory.open(path).read(name, atMost: 256) else { return nil }
    return String(decoding: bytes.filter { $0 != 10 }, as: UTF8.self)
  }
}
