// Ports and forwards: text becomes a value that cannot be wrong, or an error that quotes it.

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

/// One port pair: a port of the submit host that reaches a port of the exec host.
public struct Forward: Hashable, Sendable, CustomStringConvertible {
  public let submit: Port
  public let exec: Port

  public init(submit: Port, exec: Port) {
    self.submit = submit
    self.exec = exec
  }

  /// As it is typed: `8001:8000`.
  public var description: String { "\(submit):\(exec)" }
}

/// Why a spec is refused; every case quotes the offending part.
public enum SpecError: Error, Equatable, Sendable, CustomStringConvertible {
  case empty
  case emptyPair(spec: String)
  case missingColon(pair: String)
  case tooManyParts(pair: String)
  case emptyPort(pair: String)
  case notANumber(text: String, pair: String)
  case outOfRange(text: String, pair: String)
  case reserved(text: String, pair: String)
  case submitPortTwice(port: Port)

  public var description: String {
    switch self {
    case .empty:
      "'' is empty: name at least one pair, as in 8001:8000"
    case .emptyPair(let spec):
      "'\(spec)' has an empty pair: put one pair between two commas, as in 8001:8000,8889:8888"
    case .missingColon(let pair):
      "'\(pair)' has no colon: write <submit port>:<exec port>, as in 8001:8000"
    case .tooManyParts(let pair):
      "'\(pair)' has more than two parts: write <submit port>:<exec port>, as in 8001:8000"
    case .emptyPort(let pair):
      "'\(pair)' lacks a port: write <submit port>:<exec port>, as in 8001:8000"
    case .notANumber(let text, let pair):
      "'\(text)' in '\(pair)' is no port: a port is a number from 1 to 65535"
    case .outOfRange(let text, let pair):
      "'\(text)' in '\(pair)' is out of range: a port is a number from 1 to 65535"
    case .reserved(let text, let pair):
      "submit port '\(text)' in '\(pair)' is under 1024, which is for root: take 1024 or higher"
    case .submitPortTwice(let port):
      "submit port '\(port)' is there twice: each submit port can lead to one place"
    }
  }
}

/// What stands after `--tunnel`: all the forwards of one tunnel, at least one.
public struct TunnelSpec: Equatable, Sendable, CustomStringConvertible {
  public let forwards: [Forward]

  /// Reads `<submit port>:<exec port>[,…]`.
  ///
  /// - Parameter text: as typed, nothing trimmed
  public init(_ text: String) throws(SpecError) {
    if text.isEmpty { throw .empty }
    var forwards: [Forward] = []
    for pair in text.split(separator: ",", omittingEmptySubsequences: false) {
      if pair.isEmpty { throw .emptyPair(spec: printable(text)) }
      let forward = try TunnelSpec.forward(String(pair))
      if forwards.contains(where: { $0.submit == forward.submit }) {
        throw .submitPortTwice(port: forward.submit)
      }
      forwards.append(forward)
    }
    self.forwards = forwards
  }

  public var description: String { forwards.map(\.description).joined(separator: ",") }

  private static func forward(_ pair: String) throws(SpecError) -> Forward {
    let parts = pair.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    if parts.count < 2 { throw .missingColon(pair: printable(pair)) }
    if parts.count > 2 { throw .tooManyParts(pair: printable(pair)) }
    let submit = try port(parts[0], in: pair)
    if submit.number < 1024 { throw .reserved(text: parts[0], pair: printable(pair)) }
    return Forward(submit: submit, exec: try port(parts[1], in: pair))
  }

  private static func port(_ text: String, in pair: String) throws(SpecError) -> Port {
    if text.isEmpty { throw .emptyPort(pair: printable(pair)) }
    // Digits alone: Int's own parser would take a sign.
    guard text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
      throw .notANumber(text: printable(text), pair: printable(pair))
    }
    guard let number = UInt16(text), let port = Port(number) else {
      throw .outOfRange(text: printable(text), pair: printable(pair))
    }
    return port
  }
}
