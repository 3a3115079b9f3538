// The limits of connections: for a turn of the loop, memory, descriptors and time.

enum Limits {
  // MARK: A turn of the loop

  /// Connections accepted in a row before the open connections get their turn.
  static let acceptsInATurn = 64
  /// Fills and drains of one direction in a row before the other connections get their turn.
  static let stepsInATurn = 16

  // MARK: Memory and descriptors

  /// Bytes of the buffer that all connections share. A direction that fills it carries bulk data
  /// and is spliced.
  static let buffer = 1 << 14
  /// Bytes that one splice(2) may move.
  static let splice = 1 << 20
  /// Idle pipes that are kept. More become idle only after many connections at once; they are
  /// closed.
  static let idlePipes = 8
  /// Services named by SOCKS clients that are kept for the next connection.
  static let visitedServices = 64

  // MARK: Time and log lines

  /// Milliseconds before another attempt if descriptors or ssh's queue are used up.
  static let pause = 50
  /// Milliseconds in which the same refusal is logged once.
  static let refusalPause = 60_000
  /// The most different refusals that are logged in that time.
  static let refusals = 16
}
