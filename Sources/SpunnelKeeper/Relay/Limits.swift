// How much connections may take: of a turn of the loop, of memory, of descriptors and of time.

enum Limits {
  // MARK: A turn of the loop

  /// Connections accepted in a row before the open ones get their turn.
  static let acceptsInATurn = 64
  /// Fills and drains of one direction in a row before the other connections get their turn.
  static let stepsInATurn = 16

  // MARK: Memory and descriptors

  /// Bytes of the buffer that all connections share. A direction that fills it carries bulk, which is spliced.
  static let buffer = 1 << 14
  /// Bytes that one splice may move.
  static let splice = 1 << 20
  /// Pipes that wait for bulk. More lie idle only after a crowd.
  static let idlePipes = 8
  /// Services that SOCKS clients named and that are kept for the next.
  static let visitedServices = 64

  // MARK: Time and words

  /// Milliseconds before another attempt when descriptors or ssh's queue are used up.
  static let pause = 50
  /// Milliseconds in which the same refusal is written to the log once.
  static let refusalPause = 60_000
  /// Different refusals that are written to the log in that time.
  static let refusals = 16
}
