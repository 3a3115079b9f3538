// Runs a command line: parses it, runs the command, and tells what went wrong.

import SpunnelSystem

/// A program with a table of commands.
package struct Tool: Sendable {
  package let root: CommandSpec
  /// The line for `--version`.
  let version: String

  package init(_ root: CommandSpec, version: String) {
    self.root = root
    self.version = version
  }

  /// - Parameter words: the command line behind the program's name
  /// - Returns: the exit status
  package func run(_ words: [ByteString]) -> CInt {
    do throws(Parser.Problem) {
      let request = try Parser(root).parse(words)
      do throws(CommandError) { return try run(request).rawValue } catch {
        return tell(error, request).rawValue
      }
    } catch {
      complain("\(error.message); see \(error.command) --help")
      return ExitCode.usage.rawValue
    }
  }

  private func run(_ request: Request) throws(CommandError) -> ExitCode {
    switch request {
    case .help(let path): try print(Help(path).text)
    case .version: try print(version)
    case .run(let call):
      return try call.spec.action?(call) ?? .success
    }
    return .success
  }

  private func tell(_ error: CommandError, _ request: Request) -> ExitCode {
    if case .usage(let message) = error, case .run(let call) = request {
      complain("\(message); see \(([root.name] + call.path).joined(separator: " ")) --help")
    } else {
      for line in error.lines { complain(line) }
    }
    return error.status
  }

  private func complain(_ line: String) {
    StandardStream.error.write(line: "\(root.name): \(line)")
  }
}

/// Writes a line, or lines, to standard output.
package func print(_ text: String) throws(CommandError) {
  StandardStream.output.write(line: text)
}
