// What an opener has told.

@testable import SpunnelKeeper

final class ToldOpener: RefusalListener {
  /// Alive as long as the test.
  var openers: [ForwardOpener] = []
  var isReady = false
  var reason: String?
  var isLost = false
  var count = 0
  /// What ssh says of one refusal after the other; the last stands for all that follow.
  var refusals: [String] = []
  /// How many are to come that are no client's.
  private(set) var expected = 0

  var lastRefusal: String? { refusals.count > 1 ? refusals.removeFirst() : refusals.first }

  func expectsRefusal(_ isToCome: Bool) { expected += isToCome ? 1 : -1 }

  func take(_ outcome: ForwardOpener.Outcome) {
    count += 1
    switch outcome {
    case .ready: isReady = true
    case .failed(let reason): self.reason = reason
    case .lost: isLost = true
    }
  }
}
