// Which commands there are, how they are found, and what an exit status means.

import Glibc
import SpunnelSystem

/// How a command ended, as the exit status of the process.
enum ExitStatus: CInt {
  case success = 0
  /// Something failed; a line on standard error says what.
  case failure = 1
  /// The words on the command line make no sense; a line on standard error says why.
  case usage = 2
}

/// Why a command stops early.
enum CommandError: Error {
  case failure(String)
  /// Several things failed, with a line for each; the others were done.
  case failures([String])
  case usage(String)

  /// What is told on standard error.
  var lines: [String] {
    switch self {
    case .failure(let message), .usage(let message): [message]
    case .failures(let messages): messages
    }
  }
}

/// One command of `spunnelctl`.
protocol Command: SendableMetatype {
  static var name: String { get }
  /// What stands behind the name in the usage line.
  static var synopsis: String { get }
  /// One line for the list of commands.
  static var summary: String { get }
  /// What `--help` says behind the summary.
  static var details: String { get }
  /// Whether a `--help` behind the word `exec` is meant for another program.
  static var takesCommandLine: Bool { get }

  /// - Parameter words: the command line behind the command's name
  static func run(_ words: [String]) throws(CommandError)
}

extension Command {
  static var takesCommandLine: Bool { false }
}

enum CommandLineTool {
  static let commands: [any Command.Type] = [
    StatusCommand.self, OpenCommand.self, URLCommand.self, CloseCommand.self, CleanCommand.self,
    ClusterCommand.self,
  ]

  /// - Parameter words: the command line behind the program's name
  /// - Returns: the exit status
  static func run(_ words: [String]) -> CInt {
    do throws(CommandError) {
      try dispatch(words)
      return ExitStatus.success.rawValue
    } catch {
      switch error {
      case .failure, .failures:
        for line in error.lines { say("spunnelctl: \(line)", to: .error) }
        return ExitStatus.failure.rawValue
      case .usage(let message):
        say("spunnelctl: \(message); see \(manual(words)) --help", to: .error)
        return ExitStatus.usage.rawValue
      }
    }
  }

  /// The command whose help a wrong command line is to be compared with.
  private static func manual(_ words: [String]) -> String {
    let name = words.first { $0 != "help" } ?? ""
    return commands.contains { $0.name == name } ? "spunnelctl \(name)" : "spunnelctl"
  }

  private static func dispatch(_ words: [String]) throws(CommandError) {
    guard let first = words.first else { throw .usage("name a command, as in spunnelctl status") }
    switch first {
    case "help" where words.count > 1: return try dispatch([words[1], "--help"])
    case "-h", "--help", "help": return say(help)
    case "-V", "--version": return say("spunnel \(spunnelVersion)")
    default: break
    }
    guard let command = commands.first(where: { $0.name == first }) else {
      throw .usage("'\(printable(first))' is no command")
    }
    let rest = Array(words.dropFirst())
    let own = command.takesCommandLine && rest.first == "exec" ? ownOptions(rest) : rest
    if own.contains("--help") || own.contains("-h") { return say(help(for: command)) }
    try command.run(rest)
  }

  /// What stands between `exec` and the command line that it runs.
  private static func ownOptions(_ words: [String]) -> [String] {
    var own: [String] = []
    for word in words.dropFirst() {
      if word == "--" || (!word.hasPrefix("-") && own.last != "--name") { break }
      own.append(word)
    }
    return own
  }

  private static var help: String {
    var list = commands.map { "  \(padded($0.name, 10))\($0.summary)" }
    list.append("  \(padded("help", 10))Tell more of a command, as COMMAND --help does.")
    return """
      usage: spunnelctl COMMAND [OPTION…] | --help | --version

      Tunnels into Slurm jobs. What people need most:

        srun --pty --tunnel 8001:8000,8889:8888 bash   ports of this host reach the step's node
        srun --tunnel :auto CMD                        free ports at both ends; see $SPUNNEL_PORT
        sbatch --tunnel 8001:8000 job.sh               the same for a batch job, while it runs
        spunnelctl open 12 8001:8000                   into a job that is there already
        spunnelctl status                              what is open, and whether anything answers

      man spunnel has all forms. Commands:

      \(list.joined(separator: "\n"))

      --version, or -V, tells which Spunnel this is. Exit status: 0; 1 something failed; 2 usage.
      """
  }

  private static func help(for command: any Command.Type) -> String {
    """
    usage: spunnelctl \(command.name) \(command.synopsis)

    \(command.summary)

    \(command.details)
    """
  }
}

/// Writes a line to standard output, or elsewhere.
func say(_ line: String, to stream: StandardStream = .output) { stream.write(line: line) }

/// Fills a text with spaces on the right.
func padded(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.count))
}
