// What a session tells those who attach: a file in its runtime directory, lines of a key and a value.

import SpunnelSystem

/// What an attach finds of a session: sockets, where the page begins, and secrets.
///
/// It leaves the node through srun's own connection alone, on request of its owner.
package struct SessionOffer: Equatable, Sendable {
  /// The unix socket where a browser or a viewer connects, if the kind has one. Absolute path on the node.
  package var socket: String?
  /// What stands behind `http://localhost:PORT` in the address, a secret after `#` or in the path included.
  package var page: String?
  /// More that a kind's own client wants to know, as a password.
  package var facts: [String: String] = [:]

  package init(socket: String? = nil, page: String? = nil, facts: [String: String] = [:]) {
    self.socket = socket
    self.page = page
    self.facts = facts
  }
}

package struct SessionRecord: Equatable, Sendable {
  /// The file's name. It is there once the session can be attached to.
  package static let file = "session"
  /// The fact that tells why there is no session.
  static let failed = "failed"
  private static let limit = 1 << 16

  package let kind: String
  package let offer: SessionOffer
  /// The runtime directory on the node.
  package let path: String

  package init(kind: String, offer: SessionOffer, path: String) {
    self.kind = kind
    self.offer = offer
    self.path = path
  }

  /// Reads the record of a directory.
  ///
  /// - Returns: `nil` when the session is not ready
  package init?(in directory: borrowing Directory) {
    guard let bytes = try? directory.read(SessionRecord.file, atMost: SessionRecord.limit) else {
      return nil
    }
    self.init(text: String(decoding: bytes, as: UTF8.self))
  }

  package init?(text: String) {
    var values: [String: String] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1)
      if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
    }
    guard let kind = values.removeValue(forKey: "kind"),
      let path = values.removeValue(forKey: "path")
    else { return nil }
    self.kind = kind
    self.path = path
    offer = SessionOffer(
      socket: values.removeValue(forKey: "socket"), page: values.removeValue(forKey: "page"),
      facts: values)
  }

  /// A line each. Values with a line end are left out: no kind has one.
  package var text: String {
    var lines = ["kind \(kind)", "path \(path)"]
    if let socket = offer.socket { lines.append("socket \(socket)") }
    if let page = offer.page { lines.append("page \(page)") }
    lines += offer.facts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    return lines.filter { !$0.contains("\n") }.map { $0 + "\n" }.joined()
  }

  /// Lays the record down, whole.
  package func write(in directory: borrowing Directory) throws(SystemError) {
    try directory.replace(SessionRecord.file, with: Array(text.utf8))
  }
}
