// What an opening has told.

@testable import Spunnel

final class ToldOpening {
  /// Alive as long as the test.
  var openings: [Opening] = []
  var isReady = false
  var reason: String?
  var isLost = false
  var count = 0
  var refusal: String?

  func take(_ outcome: Opening.Outcome) {
    count += 1
    switch outcome {
    case .ready: isReady = true
    case .failed(let reason): self.reason = reason
    case .lost: isLost = true
    }
  }
}
