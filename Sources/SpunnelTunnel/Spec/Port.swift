// TCP ports.

import SpunnelSystem

/// A TCP port from 1 to 65535.
public struct Port: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// In host order, never 0.
  public let number: UInt16

  /// - Returns: `nil` for 0
  public init?(_ number: UInt16) {
    if number == 0 { return nil }
    self.number = number
  }

  public var description: String { String(number) }

  public static func < (left: Port, right: Port) -> Bool { left.number < right.number }
}

extension Port {
  /// Reads digits alone: Int's own parser would take a sign.
  ///
  /// - Returns: `nil` for anything else, and for what is out of range
  public init?(_ text: some StringProtocol) {
    guard let number = wholeNumber(text), let number = UInt16(exactly: number) else { return nil }
    self.init(number)
  }
}
