// Values that a user types for a cluster, parsed once: names, sizes, counts, the policy.

import SpunnelSystem

/// The name of a cluster, and of its folder.
public struct ClusterName: Hashable, Sendable, CustomStringConvertible {
  public let description: String

  /// The cluster that is used when the user names none.
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

/// An amount of memory in MiB, which is Slurm's unit.
public struct MemorySize: Hashable, Sendable, CustomStringConvertible {
  /// The amount in MiB, at least 1.
  public let mebibytes: Int

  /// - Parameter mebibytes: the amount in MiB; a value below 1 becomes 1
  public init(mebibytes: Int) { self.mebibytes = max(1, mebibytes) }

  /// - Parameter text: a whole number with an optional `K`, `M`, `G` or `T`, as for srun's `--mem`
  ///   (srun(1)); without a letter the unit is MiB
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

/// Which waiting job starts next.
public enum Policy: String, CaseIterable, Sendable {
  /// The job that was submitted first.
  case fifo
  /// The job that asks for the most cores; among equals, the first.
  case largestFirst = "largest-first"

  /// - Throws: `malformed` for any word but a policy
  public init(_ text: String) throws(ClusterError) {
    guard let policy = Policy(rawValue: text) else {
      throw .malformed("policy", text, "fifo or largest-first")
    }
    self = policy
  }
}

/// Reads a whole number within bounds.
///
/// - Parameters:
///   - text: the number
///   - what: the name of the option, for the error
///   - range: the allowed numbers
public func count(
  _ text: String, _ what: String, in range: ClosedRange<Int>
) throws(ClusterError) -> Int {
  guard let number = wholeNumber(text), range.contains(number) else {
    throw .malformed(
      what, text, "a whole number from \(range.lowerBound) to \(range.upperBound)")
  }
  return number
}
