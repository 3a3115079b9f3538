// The protocol of a service, recognized by the first bytes of its answer.

/// A protocol whose name may precede the address of a service.
public enum SpokenProtocol: String, Sendable {
  case http, ssh, vnc

  /// Recognizes a protocol by the beginning of an answer.
  ///
  /// - Parameter beginning: the first eight bytes in memory order; a shorter answer is padded with
  ///   zeros
  /// - Returns: `nil` for any other protocol
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
