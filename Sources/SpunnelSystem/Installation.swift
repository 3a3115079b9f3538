// Where Spunnel is installed, and where its programs lie below that folder.

/// One installed Spunnel, known by its prefix, as in `/opt/spunnel`.
public struct Installation: Equatable, Sendable {
  /// An absolute path without a slash at its end.
  public let prefix: String

  /// - Parameter prefix: as in `/opt/spunnel`
  public init(prefix: String) { self.prefix = prefix }

  /// Finds the installation that this process's program belongs to.
  ///
  /// - Returns: `nil` for a program that lies in neither `bin` nor `libexec/spunnel`, as one that was
  ///   built and not installed
  public static var current: Installation? {
    Host.executable.flatMap { Installation(ofProgram: $0) }
  }

  /// - Parameter path: of `spunnelctl`, or of a program that others start, as `spunnel-keeper`
  public init?(ofProgram path: String) {
    guard let folder = Installation.folder(of: path) else { return nil }
    for place in ["/bin", "/libexec/spunnel"] where folder.hasSuffix(place) {
      self.init(prefix: String(folder.dropLast(place.count)))
      return
    }
    return nil
  }

  /// - Parameter folder: where `libSpunnel.so` lies, as in `/opt/spunnel/lib/spunnel`
  public init(libraryFolder folder: String) {
    let place = "/lib/spunnel"
    prefix = folder.hasSuffix(place) ? String(folder.dropLast(place.count)) : folder + "/../.."
  }

  /// Says why `current` is `nil`, and what to do.
  public static var absence: String {
    guard let path = Host.executable else {
      return "/proc/self/exe does not tell where this program is: is /proc mounted?"
    }
    return "'\(printable(path))' is in no bin folder of an installed Spunnel: run the installed one"
  }

  /// The process that holds a tunnel.
  public var keeper: String { program("spunnel-keeper") }
  /// The helper that asks Slurm.
  public var jobs: String { program("spunnel-jobs") }
  /// The folder of the plugin and of the libraries.
  public var libraries: String { prefix + "/lib/spunnel" }

  /// - Parameter name: of a program that others start
  public func program(_ name: String) -> String { "\(prefix)/libexec/spunnel/\(name)" }

  private static func folder(of path: String) -> String? {
    path.lastIndex(of: "/").map { String(path[..<$0]) }
  }
}
