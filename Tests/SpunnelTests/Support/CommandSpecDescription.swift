// A command in a test's output is its name, not all that the table says of it.

@testable import SpunnelCLI

extension CommandSpec: CustomDebugStringConvertible {
  public var debugDescription: String { name }
}
