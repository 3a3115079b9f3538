// Why a spec was refused.

import SpunnelSlurm
import SpunnelSystem

/// A refused spec. Every case quotes the offending part and says what belongs there.
public enum SpecError: Error, Equatable, Sendable, CustomStringConvertible {
  case empty
  case emptyForward(spec: String)
  case tooManyParts(forward: String)
  case lacksEnd(forward: String)
  case letterL(forward: String)
  case bindAddress(text: String, forward: String)
  case noPort(text: String, forward: String)
  case outOfRange(text: String, forward: String)
  case reserved(text: String, forward: String)
  case noHost(text: String, forward: String)
  case noPath(text: String, forward: String, why: String)
  case manyNodesOneEnd(forward: String)
  case misplacedAuto(forward: String)
  case submitEndTwice(end: String)
  case execEndTwice(end: String)
  /// The host is not a node of the step. This is known only once the step's nodes are known.
  case noNode(text: String, forward: String, step: String, nodes: String)
  /// The host is not a node of the whole cluster. This is known at the submission.
  case foreign(text: String, forward: String)
  /// `R:` to another host than this one.
  case thirdHost(text: String, forward: String)

  public var description: String {
    switch self {
    case .empty:
      "'' is empty: name at least one forward, as in 8001:8000"
    case .emptyForward(let spec):
      "'\(spec)' has an empty forward: put one between two commas, as in 8001:8000,8889:8888"
    case .tooManyParts(let forward) where forward.hasPrefix("R:"):
      "'\(forward)' has too many parts: write R:<exec port>:<submit port>, as in R:9000:5432, or "
        + "R:<node>:<exec port>:<submit port>"
    case .lacksEnd(let forward) where forward.hasPrefix("R"):
      "'\(forward)' lacks a port: write R:<exec port>:<submit port>, as in R:9000:5432"
    case .tooManyParts(let forward):
      "'\(forward)' has too many parts: write <submit port>:<exec port>, as in 8001:8000, or "
        + "<submit port>:<node>:<exec port>"
    case .lacksEnd(let forward):
      "'\(forward)' lacks a port: write <submit port>:<exec port>, as in 8001:8000"
    case .letterL(let forward):
      "'L:' in '\(forward)' says nothing new: leave it out, as in 8001:8000"
    case .bindAddress(let text, let forward):
      "'\(text)' in '\(forward)' is an address to listen on: a port is on localhost alone, so leave "
        + "it out"
    case .noPort(let text, let forward):
      "'\(text)' in '\(forward)' is no port: "
        + (SpecError.meaning(of: text, in: forward) ?? "a port is a number from 1 to 65535")
    case .outOfRange(let text, let forward):
      "'\(text)' in '\(forward)' is out of range: a port is a number from 1 to 65535"
    case .reserved(let text, let forward):
      "port '\(text)' in '\(forward)' is under 1024, where only root may listen: take 1024 or higher"
    case .noHost(let text, let forward):
      "'\(text)' in '\(forward)' is no host: "
        + (SpecError.meaning(of: text, in: forward)
          ?? "name a node of the step, its place as in +1, or all")
    case .noPath(let text, let forward, let why):
      "'\(text)' in '\(forward)' is no socket's path: \(why)"
    case .manyNodesOneEnd(let forward):
      "'\(forward)' leads one port to many nodes: write :all:<exec port>, and each gets a free port"
    case .misplacedAuto(let forward):
      "'auto' in '\(forward)' stands for one exec port of one node: write :auto, or :+1:auto"
    case .submitEndTwice(let end):
      "'\(end)' is listed twice for this host: each can lead to one place"
    case .execEndTwice(let end):
      "'\(end)' of R: is listed twice: each can lead to one place"
    case .foreign(let text, let forward):
      "'\(text)' in '\(forward)' is no node of this cluster, and other hosts need targets=any in "
        + "plugstack.conf: name a node as sinfo does, or its place in the job, as in +1"
    case .thirdHost(let text, let forward):
      "'\(text)' in '\(forward)' is a third host, which needs targets=any in plugstack.conf: leave it "
        + "out to lead to this host, as in R:9000:5432"
    case .noNode(let text, let forward, let step, let nodes):
      "'\(text)' in '\(forward)' is no node of \(step), which has \(nodes): name one of them; "
        + "other hosts need targets=any in plugstack.conf"
    }
  }
}

extension SpecError {
  private static let waysOfSSH = "write 8001:8000 for ssh's -L, R:9000:5432 for -R, D:1080 for -D"

  /// Tells a user who typed an option of ssh which spec to write instead.
  ///
  /// - Parameter word: the word that was typed, such as `-L8001:localhost:8000`
  public static func optionOfSSH(_ word: String) -> String {
    "'\(printable(word))' is an option of ssh's: \(waysOfSSH)"
  }

  /// Says what to write instead; `nil` when the intent is unclear.
  private static func meaning(of text: String, in forward: String) -> String? {
    if isOptionOfSSH(text) {
      return waysOfSSH
    }
    if text.contains(where: \.isWhitespace) {
      return "separate forwards by a comma alone, as in 8001:8000,8889:8888"
    }
    // The user typed `n1:8000`: a node and a port without a submit port.
    let rest = forward.dropFirst(text.count)
    if forward.hasPrefix(text), rest.first == ":", Port(String(rest.dropFirst())) != nil,
      text != "auto", NodeName(text) != nil
    {
      return "write :\(forward) for a free port of this host to node \(text), or 8001:\(forward)"
    }
    return nil
  }

  /// Whether a word is ssh's option for a forward (ssh(1), `-L`, `-R`, `-D`).
  public static func isOptionOfSSH(_ word: String) -> Bool {
    ["-L", "-R", "-D"].contains(where: word.hasPrefix)
  }

  /// Makes the error for a path that `PathPattern` refused.
  init(_ refusal: PathPattern.Refusal, text: some StringProtocol, forward: some StringProtocol) {
    let why =
      switch refusal {
      case .relative: "write it from the root, as in /tmp/web.sock"
      case .character: "it has white space or characters that do not show"
      case .pattern(let pattern):
        "'\(printable(pattern))' is no pattern: there are %j job, %s step, %u user, %n node, and %%"
      case .user(let name):
        "%u is '\(printable(name))', which has white space, commas, colons or characters that do not show"
      case .tooLong: "it is longer than \(PathPattern.longest) bytes"
      }
    self = .noPath(text: printable(text), forward: printable(forward), why: why)
  }
}
