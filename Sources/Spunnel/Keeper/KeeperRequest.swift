// What a keeper is told when it is started: its argument vector and its first descriptors.

/// The request of one tunnel, as words: `<job>.<step> <node> <spec> [plugstack arguments …]`.
public struct KeeperRequest: Equatable, Sendable {
  /// Descriptors below are the standard ones, all `/dev/null`.
  public static let lifeline: CInt = 3
  /// The first bound port; the others follow without a gap.
  public static let firstListener: CInt = 4

  public let step: StepName
  public let node: NodeName
  public let spec: TunnelSpec
  /// plugstack.conf's arguments, word for word.
  public let arguments: [String]
  public let settings: Settings

  public init(
    step: StepName, node: NodeName, spec: TunnelSpec, arguments: [String]
  ) throws(SettingsError) {
    self.step = step
    self.node = node
    self.spec = spec
    self.arguments = arguments
    settings = try Settings(arguments: arguments)
  }

  /// Reads the words behind the program's name.
  ///
  /// - Returns: `nil` when they are no request: nobody but the plugin starts a keeper
  public init?(words: [String]) {
    guard words.count >= 3, let step = StepName(words[0]), let node = NodeName(words[1]),
      let spec = try? TunnelSpec(words[2]),
      let settings = try? Settings(arguments: Array(words[3...]))
    else { return nil }
    self.step = step
    self.node = node
    self.spec = spec
    arguments = Array(words[3...])
    self.settings = settings
  }

  /// The words to start a keeper with.
  public var words: [String] {
    [step.description, node.description, spec.description] + arguments
  }
}

/// What a keeper says through the lifeline, once, as one line.
public enum KeeperReport: Equatable, Sendable {
  case ready
  /// One line for the user.
  case failed(String)

  /// - Parameter line: without its newline
  public init?(line: String) {
    if line == "ready" {
      self = .ready
    } else if line.hasPrefix("failed ") {
      self = .failed(String(line.dropFirst("failed ".count)))
    } else {
      return nil
    }
  }

  /// With its newline.
  public var line: String {
    switch self {
    case .ready: "ready\n"
    case .failed(let reason): "failed \(reason)\n"
    }
  }
}
