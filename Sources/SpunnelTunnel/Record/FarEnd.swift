// What a record says of the service that a forward leads to.

/// What is known of the far end of a forward.
public enum FarEnd: String, Sendable {
  /// Nobody has connected yet.
  case unknown
  case listening
  /// The last connection was refused: nothing listens there.
  case refused
}
