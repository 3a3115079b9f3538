// What a keeper gets at its start: its argument vector and its first descriptors.

import SpunnelSlurm

/// The request of one tunnel, as words: `<job>.<step> <life> <nodes> <spec> [plugstack arguments
/// …]`.
///
/// `-` stands for nodes or a spec that are still unknown.
public struct KeeperRequest: Equatable, Sendable {
  /// The descriptor of the lifeline. The standard descriptors below it are `/dev/null`.
  public static let lifeline: CInt = 3
  /// The descriptor of the first bound port. The others follow without a gap.
  public static let firstListener: CInt = 4

  /// The event that ends the tunnel.
  public enum Life: String, Sendable {
    /// The tunnel ends when the process at the other end of the lifeline ends.
    case lifeline
    /// As `lifeline`, but srun does not wait for the tunnel, so the keeper tries to connect without
    /// a timeout.
    case patientLifeline = "lifeline-patient"
    /// The tunnel ends with the job, whose state Slurm tells. The lifeline only carries reports.
    case job
  }

  public let life: Life
  public let step: StepName
  /// The nodes in Slurm's order; empty when the job has not started, or when the keeper is to ask
  /// Slurm.
  public let nodes: [NodeName]
  /// The spec; `nil` when requests for forwards come later, over the command socket.
  public let spec: TunnelSpec?
  /// The arguments of plugstack.conf, word for word.
  public let arguments: [String]
  public let settings: Settings

  /// - Parameters:
  ///   - life: the event that ends the tunnel
  ///   - step: the step, or a job as a whole
  ///   - nodes: the nodes in Slurm's order; empty while they are unknown
  ///   - spec: the forwards; `nil` when they are asked for later
  ///   - arguments: the arguments of plugstack.conf
  /// - Throws: an argument that is refused
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

  /// Reads the words after the program's name.
  ///
  /// - Returns: `nil` when the words are not a request; only Spunnel starts a keeper
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
    // srun holds the lifeline and knows both its nodes and its spec.
    if life != .job && (nodes.isEmpty || spec == nil) { return nil }
    arguments = Array(words[4...])
    self.settings = settings
  }

  /// As many nodes as fit into one argument (execve(2): 128 KiB).
  private static func list(_ nodes: [NodeName]) -> String {
    var list = nodes[0].description
    for node in nodes.dropFirst() {
      if list.utf8.count + node.description.utf8.count > 100_000 { break }
      list += "," + node.description
    }
    return list
  }

  /// The words that start a keeper, without the program's name.
  public var words: [String] {
    let nodes = nodes.isEmpty ? "-" : KeeperRequest.list(nodes)
    return [step.description, life.rawValue, nodes, spec?.description ?? "-"] + arguments
  }
}
