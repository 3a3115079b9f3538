// The state of the service behind a forward, as a record keeps it.

/// What is known of a forward's far end.
public enum FarEnd: String, Sendable {
  /// No connection has been made yet.
  case unknown
  case listening
  /// The last connection was refused: nothing listens there.
  case refused
  /// Nothing listens on the node's localhost, but a service listens on another address of the node.
  case elsewhere
  /// The node's sshd forbids it.
  case denied
  /// The last connection failed for an unknown reason.
  case unreached

  /// Whether the last connection failed.
  public var isTrouble: Bool { self != .unknown && self != .listening }
}
