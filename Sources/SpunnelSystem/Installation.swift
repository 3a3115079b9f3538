// The folder in which Spunnel is installed, and the places of its programs below it.

/// One installed Spunnel, identified by its prefix, such as `/opt/spunnel`.
public struct Installation: Equatable, Sendable {
  /// An absolute path without a slash at the end.
  public let prefix: String

  /// Describes an installation.
  ///
  /// - Parameter prefix: such as `/opt/spunnel`
  public init(prefix: String) { self.prefix = prefix }

  /// The installation to which this process's program belongs.
  ///
  /// - Returns: `nil` if the program lies in neither `bin` nor `libexec/spunnel`, for example if it
  ///   was built but not installed
  public static var current: Installation? {
    Host.executable.flatMap { Installation(ofProgram: $0) }
  }

  /// Finds the installation of a program.
  ///
  /// - Parameter path: of `spunnelctl`, or of a program that others start, such as `spunnel-keeper`
  public init?(ofProgram path: String) {
    guard let folder = Installation.folder(of: path) else { return nil }
    for place in ["/bin", "/libexec/spunnel"] where folder.hasSuffix(place) {
      self.init(prefix: String(folder.dropLast(place.count)))
      return
    }
    return nil
  }

  /// Finds the installation of the library.
  ///
  /// - Parameter folder: in which `libSpunnel.so` lies, such as `/opt/spunnel/lib/spunnel`
  public init(libraryFolder folder: String) {
    let place = "/lib/spunnel"
    prefix = folder.hasSuffix(place) ? String(folder.dropLast(place.count)) : folder + "/../.."
  }

  /// Explains why `current` is `nil`, and what to do.
  public static var absence: String {
    guard let path = Host.executable else {
      return "/proc/self/exe does not tell where this program is: is /proc mounted?"
    }
    return "'\(printable(path))' is in no bin folder of an installed Spunnel: run the installed one"
  }

  /// The program that holds a tunnel.
  public var keeper: String { program("spunnel-keeper") }
  /// The program that asks Slurm.
  public var jobs: String { program("spunnel-jobs") }
  /// The folder of the plugin and the libraries.
  public var libraries: String { prefix + "/lib/spunnel" }

  /// The path of a program that others start.
  ///
  /// - Parameter name: such as `spunnel-keeper`
  public func program(_ name: String) -> String { "\(prefix)/libexec/spunnel/\(name)" }

  private static func folder(of path: String) -> String? {
    path.lastIndex(of: "/").map { String(path[..<$0]) }
  }
}
