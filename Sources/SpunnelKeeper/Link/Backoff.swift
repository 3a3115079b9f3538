// How long a link waits before each attempt to reconnect.

/// Exponential backoff: each pause is twice the one before, up to a maximum.
struct Backoff {
  /// All in milliseconds.
  private let first: Int
  private let longest: Int
  private let stable: Int
  private var next: Int

  /// Starts with the first pause.
  ///
  /// - Parameters:
  ///   - first: milliseconds before the first attempt
  ///   - longest: the maximum pause in milliseconds
  ///   - stable: milliseconds that a connection must be up before the pauses start again at `first`
  init(first: Int = 100, longest: Int = 30_000, stable: Int = 30_000) {
    self.first = first
    self.longest = longest
    self.stable = stable
    next = first
  }

  /// Takes the next pause.
  ///
  /// - Returns: milliseconds to wait before the next attempt
  mutating func take() -> Int {
    defer { next = min(next * 2, longest) }
    return next
  }

  /// Notes that a connection was lost after it was up for `held` milliseconds.
  mutating func lost(after held: Int) {
    if held > stable { next = first }
  }
}
