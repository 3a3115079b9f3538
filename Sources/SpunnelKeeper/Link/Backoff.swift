// How long a link waits before each attempt to return.

/// Exponential backoff: pauses that double, up to the longest.
struct Backoff {
  /// Milliseconds.
  private let first: Int
  private let longest: Int
  private let stable: Int
  private var next: Int

  /// - Parameters:
  ///   - first: milliseconds before the first attempt
  ///   - longest: milliseconds that no pause exceeds
  ///   - stable: milliseconds for which a connection must have held before the pauses start anew
  init(first: Int = 100, longest: Int = 30_000, stable: Int = 30_000) {
    self.first = first
    self.longest = longest
    self.stable = stable
    next = first
  }

  /// - Returns: milliseconds to wait before the next attempt
  mutating func take() -> Int {
    defer { next = min(next * 2, longest) }
    return next
  }

  /// A connection was lost that had been up for so many milliseconds.
  mutating func lost(after held: Int) {
    if held > stable { next = first }
  }
}
