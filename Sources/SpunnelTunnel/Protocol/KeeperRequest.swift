// What a keeper is told when it is started: its argument vector and its first descriptors.

import SpunnelSlurm

/// The request of one tunnel, as words:
/// `<job>.<step> <life> <nodes> <spec> [plugstack arguments …]`, `-` for what is not known.
public struct KeeperRequest: Equatable, Sendable {
  /// Descriptors below are the standard ones, all `/dev/null`.
  public static let lifeline: CInt = 3
  /// The first bound port; the others follow without a gap.
  public static let firstListener: CInt = 4

  /// How long the tunnel lives.
  public enum Life: String, Sendable {
    /// As long as whoever holds the other end of the lifeline.
    case lifeline
    /// The same, and nobody waits for it: it is tried for as long as it lives.
    case patientLifeline = "lifeline-patient"
    /// As long as the job, which Slurm is asked about. The lifeline carries reports alone.
    case job
  }

  public let life: Life
  public let step: StepName
  /// In Slurm's order; empty when the job has not started, or Slurm is to be asked.
  public let nodes: [NodeName]
  /// `nil` when forwards are asked for later, over the command socket.
  public let spec: TunnelSpec?
  /// plugstack.conf's arguments, word for word.
  public let arguments: [String]
  public let settings: Settings

  public init(
    _ life: Life, step: StepName, nodes: [NodeName], spec: TunnelSpec?, arguments: [String]
  ) throws(SettingsError) {
    self.life = life
    self.step = step
    self.nodes = nodes
    self.spec = spec
    self.arguments = arguments
    settings = try Settings(arguments: arguments)
  }

  /// Reads the words behind the program's name.
  ///
  /// - Returns: `nil` when they are no request: nobody but Spunnel starts a keeper
  public init?(words: [String]) {
    guard words.count >= 4, let step = StepName(words[0]), let life = Life(rawValue: words[1]),
      let settings = try? Settings(arguments: Array(words[4...]))
    else { return nil }
    self.life = life
    self.step = step
    if words[2] == "-" {
      nodes = []
    } else {
      guard let nodes = NodeName.list(words[2]) else { return nil }
      self.nodes = nodes
    }
    if words[3] == "-" {
      spec = nil
    } else {
      guard let spec = try? TunnelSpec(words[3]) else { return nil }
      self.spec = spec
    }
    // A lifeline's holder knows what it wants.
    if life != .job && (nodes.isEmpty || spec == nil) { return nil }
    arguments = Array(words[4...])
    self.settings = settings
  }

  /// As many nodes as one argument has room for (execve(2), 128 KiB).
  private static func list(_ nodes: [NodeName]) -> String {
    var list = nodes[0].description
    for node in nodes.dropFirst() {
      if list.utf8.count + node.description.utf8.count > 100_000 { break }
      list += "," + node.description
    }
    return list
  }

  /// The words to start a keeper with.
  public var words: [String] {
    let nodes = nodes.isEmpty ? "-" : KeeperRequest.list(nodes)
    return [step.description, life.rawValue, nodes, spec?.description ?? "-"] + arguments
  }
}
