// What a record says of the service that a forward leads to.

/// What is known of the far end of a forward.
public enum FarEnd: String, Sendable {
  /// Nobody has connected yet.
  case unknown
  case listening
  /// The last connection was refused: nothing listens there.
  case refused
  /// Nothing listens on the node's localhost, but something does on another address of the node.
  case elsewhere
  /// The node's sshd forbids it.
  case denied
  /// The last connection did not get there, and nobody knows why.
  case unreached

  /// Whether the last connection got nowhere.
  public var isTrouble: Bool { self != .unknown && self != .listening }
}
