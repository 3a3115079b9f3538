// What a service speaks, as far as the first bytes of an answer of its own have told.

/// A protocol whose name may stand before a service's address.
public enum SpokenProtocol: String, Sendable {
  case http, ssh, vnc

  /// - Parameter beginning: the first eight bytes of an answer in their order in memory; zeros follow a
  ///   shorter one
  /// - Returns: `nil` when they are of none of these
  package init?(beginning: UInt64) {
    let bytes = unsafe withUnsafeBytes(of: beginning) { unsafe Array($0) }
    if bytes.starts(with: "HTTP/".utf8) {
      self = .http
    } else if bytes.starts(with: "SSH-".utf8) {
      self = .ssh
    } else if bytes.starts(with: "RFB ".utf8) {
      self = .vnc
    } else {
      return nil
    }
  }
}
