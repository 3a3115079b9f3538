// TCP ports.

import SpunnelSystem

/// A TCP port from 1 to 65535.
public struct Port: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The port in host byte order, never 0.
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
  /// Reads a port from digits alone. `Int`'s own parser would accept a sign.
  ///
  /// - Returns: `nil` for any other text, for 0, and for a number above 65535
  public init?(_ text: some StringProtocol) {
    guard let number = wholeNumber(text), let number = UInt16(exactly: number) else { return nil }
    self.init(number)
  }
}
