// Runs a command line: parses it, runs the command, and reports errors.

import Glibc
import SpunnelSystem

/// A program with a table of commands.
package struct Tool: Sendable {
  package let root: CommandSpec
  private let alone: [ByteString]
  private let version: @Sendable () throws(CommandError) -> ExitCode

  /// - Parameters:
  ///   - root: the root of the table
  ///   - alone: the command line to run when the user types the program's name alone
  ///   - version: prints the answer to `--version`
  package init(
    _ root: CommandSpec, alone: [String] = [],
    version: @escaping @Sendable () throws(CommandError) -> ExitCode
  ) {
    self.root = root
    self.alone = alone.map { ByteString($0) }
    self.version = version
  }

  /// Runs the command line of this process and closes standard output. Call it last.
  ///
  /// - Returns: the exit status
  package func main() -> CInt {
    let words = Array(Process.arguments().dropFirst())
    let code = run(words.isEmpty ? alone : words)
    do throws(CommandError) { try endOutput() } catch {
      for line in error.lines { complain(line) }
      return code == 0 ? error.status.rawValue : code
    }
    return code
  }

  /// Runs a command line.
  ///
  /// - Parameter words: the words after the program's name
  /// - Returns: the exit status
  package func run(_ words: [ByteString]) -> CInt {
    switch words.first?.text {
    case CompletionCommand.question: return complete(words.dropFirst())
    case Manual.question: return show(Manual.synopsis(of: root))
    default: return parseAndRun(words)
    }
  }

  private func parseAndRun(_ words: [ByteString]) -> CInt {
    do throws(Parser.Problem) {
      let request = try Parser(root).parse(words)
      do throws(CommandError) {
        return try run(request).rawValue
      } catch { return tell(error, request).rawValue }
    } catch {
      complain("\(error.message); see \(error.command) --help")
      return ExitCode.usage.rawValue
    }
  }

  private func complete(_ words: ArraySlice<ByteString>) -> CInt {
    let lines = Completer(root).answer(words.map(\.text)).lines
    return lines.isEmpty ? 0 : show(lines.joined(separator: "\n"))
  }

  private func show(_ text: String) -> CInt {
    do throws(CommandError) { try say(text) } catch { return error.status.rawValue }
    return 0
  }

  private func run(_ request: Request) throws(CommandError) -> ExitCode {
    switch request {
    case .help(let path): try say(Help(path).text)
    case .version: return try version()
    case .run(let call):
      return try call.spec.action?(call) ?? .success
    }
    return .success
  }

  /// Closes standard output: some file systems report a full disk only at close(2). If the
  /// descriptor was never open, nothing was written to it.
  private func endOutput() throws(CommandError) {
    do throws(SystemError) { try StandardStream.output.close() } catch {
      if error.code != EBADF { throw .unwritten(error) }
    }
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
    remark("\(root.name): \(line)")
  }
}
