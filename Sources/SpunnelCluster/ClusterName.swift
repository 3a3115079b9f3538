// What a user says about a cluster, parsed once: its name, amounts of memory, counts, the policy.

import SpunnelSystem

/// The name of a cluster, and of its folder.
public struct ClusterName: Hashable, Sendable, CustomStringConvertible {
  public let description: String

  /// The one that is meant when none is named.
  public static let standard = ClusterName(trusted: "default")

  /// - Parameter text: 1 to 32 letters, digits, `-` and `_`, a letter or a digit first
  public init(_ text: String) throws(ClusterError) {
    guard (1...32).contains(text.utf8.count), text.utf8.allSatisfy(ClusterName.allows),
      let first = text.utf8.first, first != UInt8(ascii: "-"), first != UInt8(ascii: "_")
    else {
      throw .malformed(
        "name", text, "1 to 32 letters, digits, '-' and '_', a letter or a digit first")
    }
    description = text
  }

  private init(trusted: String) { description = trusted }

  private static func allows(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}

/// An amount of memory in MiB, Slurm's own unit.
public struct MemorySize: Hashable, Sendable, CustomStringConvertible {
  /// At least 1.
  public let mebibytes: Int

  /// - Parameter mebibytes: less than 1 becomes 1
  public init(mebibytes: Int) { self.mebibytes = max(1, mebibytes) }

  /// - Parameter text: a whole number with `K`, `M` (as without a letter), `G` or `T` behind it, as
  ///   in srun(1), `--mem`
  public init(_ text: String) throws(ClusterError) {
    let units: [Character: Int] = ["K": 0, "M": 1, "G": 1 << 10, "T": 1 << 20]
    let letter = text.last.map { Character($0.uppercased()) }
    let unit = letter.flatMap { units[$0] }
    let digits = unit == nil ? text : String(text.dropLast())
    guard let number = wholeNumber(digits), number < 1 << 40,
      case let size = unit == 0 ? number >> 10 : number * (unit ?? 1), size > 0
    else { throw .malformed("memory", text, "a size of 1M or more, as in 512M, 16G or 1T") }
    mebibytes = size
  }

  public var description: String {
    if mebibytes % (1 << 20) == 0 { return "\(mebibytes >> 20)T" }
    return mebibytes % (1 << 10) == 0 ? "\(mebibytes >> 10)G" : "\(mebibytes)M"
  }
}

/// Which waiting job is next.
public enum Policy: String, CaseIterable, Sendable {
  /// The one that was submitted first.
  case fifo
  /// The one that asks for the most cores; of two that ask for as many, the first.
  case largestFirst = "largest-first"

  public init(_ text: String) throws(ClusterError) {
    guard let policy = Policy(rawValue: text) else {
      throw .malformed("policy", text, "fifo or largest-first")
    }
    self = policy
  }
}

/// A whole number within bounds.
///
/// - Parameter what: the option, for the message
public func count(
  _ text: String, _ what: String, in range: ClosedRange<Int>
) throws(ClusterError) -> Int {
  guard let number = wholeNumber(text), range.contains(number) else {
    throw .malformed(
      what, text, "a whole number from \(range.lowerBound) to \(range.upperBound)")
  }
  return number
}
