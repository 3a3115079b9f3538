// Names from Slurm that go into paths and command lines.

import Glibc
import SpunnelSystem

/// The name of a node, safe as an argument of ssh and as a part of a line.
public struct NodeName: Hashable, Sendable, CustomStringConvertible {
  public let description: String

  /// Checks a name.
  ///
  /// - Parameter text: letters, digits, `.`, `-` and `_`; ssh would take a leading `-` for an
  ///   option
  /// - Returns: `nil` for any other text, and for more than 255 bytes (RFC 1035)
  public init?(_ text: some StringProtocol) {
    guard (1...255).contains(text.utf8.count), text.utf8.first != UInt8(ascii: "-"),
      text.utf8.allSatisfy(NodeName.allows)
    else { return nil }
    description = String(text)
  }

  /// Parses names separated by commas.
  ///
  /// - Returns: `nil` if a name is invalid or the text is empty
  public static func list(_ text: some StringProtocol) -> [NodeName]? {
    let words = text.split(separator: ",", omittingEmptySubsequences: false)
    let names = words.compactMap { NodeName($0) }
    return names.count == words.count ? names : nil
  }

  /// Whether a node name may have this byte.
  public static func allows(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }
}

/// A host to which the exec host connects: a name, an IPv4 address or an IPv6 address.
public struct HostName: Hashable, Sendable, CustomStringConvertible {
  /// The connecting host itself.
  public static let localhost = HostName(checked: "localhost")

  public let description: String

  private init(checked: String) { description = checked }

  /// Checks a host.
  ///
  /// - Parameter text: as for `NodeName`, or an IPv6 address without brackets
  /// - Returns: `nil` for any other text
  public init?(_ text: some StringProtocol) {
    if NodeName(text) == nil {
      // A colon makes it an IPv6 address. The resolver checks its syntax (RFC 4291, section 2.2).
      guard (2...45).contains(text.utf8.count), text.utf8.contains(UInt8(ascii: ":")),
        text.utf8.allSatisfy({ HostName.isInAddress($0) })
      else { return nil }
    }
    description = String(text)
  }

  /// A node as a host to connect to.
  public init(_ node: NodeName) { description = node.description }

  private static func isInAddress(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ":"), UInt8(ascii: "."):
      true
    default: false
    }
  }

  /// Whether both texts are the same name. Host names are case-insensitive (RFC 4343).
  package static func areSame(_ left: some StringProtocol, _ right: some StringProtocol) -> Bool {
    left.utf8.count == right.utf8.count
      && zip(left.utf8, right.utf8).allSatisfy { lowercased($0) == lowercased($1) }
  }

  private static func lowercased(_ byte: UInt8) -> UInt8 {
    UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
  }

  /// Whether the name is `localhost`.
  public var isLocal: Bool { HostName.areSame(description, HostName.localhost.description) }

  /// Whether it is the connecting host by name or by loopback address, in any spelling. An
  /// IPv4-mapped IPv6 address counts as another host.
  public var isLoopback: Bool { isLocal || description == "127.0.0.1" || isLoopback6 }

  private var isLoopback6: Bool {
    var address = in6_addr()
    guard unsafe inet_pton(AF_INET6, description, &address) == 1 else { return false }
    let bytes = unsafe withUnsafeBytes(of: address) { unsafe Array($0) }
    return bytes.last == 1 && bytes.dropLast().allSatisfy { $0 == 0 }
  }

  /// The form that goes before a colon and a port.
  public var bracketed: String { description.contains(":") ? "[\(description)]" : description }
}

/// A step of a job, `<job>.<step>`. It names a tunnel and its record.
public struct StepName: Hashable, Sendable, CustomStringConvertible {
  public let job: UInt32
  public let step: UInt32

  public init(job: UInt32, step: UInt32) {
    self.job = job
    self.step = step
  }

  /// Parses `<job>.<step>`, digits only.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let job = wholeNumber(parts[0]), let step = wholeNumber(parts[1]),
      let job = UInt32(exactly: job), let step = UInt32(exactly: step)
    else { return nil }
    self.init(job: job, step: step)
    // Leading zeros are refused, so that each step has one name only.
    if description != text { return nil }
  }

  public var description: String { "\(job).\(step)" }

  /// The name that stands for a whole job with all its steps (slurm.h, `SLURM_EXTERN_CONT`).
  public static func wholeJob(_ job: UInt32) -> StepName { StepName(job: job, step: 0xffff_fffc) }

  /// Whether this name stands for a whole job.
  public var isWholeJob: Bool { step == 0xffff_fffc }

  /// The steps that have a name and no number (slurm.h, `SLURM_INTERACTIVE_STEP` and others).
  private static let labels: [UInt32: String] = [
    0xffff_fffa: "interactive", 0xffff_fffb: "batch", 0xffff_fffc: "extern",
  ]

  /// The step as Slurm's commands write it.
  public var stepLabel: String { StepName.labels[step] ?? String(step) }

  /// The step in a sentence, such as `job 12` or `step 12.0`.
  public var words: String { isWholeJob ? "job \(job)" : "step \(job).\(stepLabel)" }

  /// Parses a step label.
  ///
  /// - Parameter label: as Slurm's commands write it
  public init?(job: UInt32, label: some StringProtocol) {
    if let known = StepName.labels.first(where: { $0.value == label }) {
      self.init(job: job, step: known.key)
    } else {
      self.init("\(job).\(label)")
    }
  }
}
