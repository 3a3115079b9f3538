// The command line as data: what is parsed, refused and shown, by a table made for the purpose.

import SpunnelSystem
import Testing

@testable import SpunnelCLI

private let json = Flag("json", letter: "j", "Print one JSON object.")
private let verbose = Flag("verbose", letter: "v", "Say more.")
private let background = Flag("background", "Leave it open.")
private let name = Option("name", letter: "n", "NAME", .text, "Name the cluster.")
private let nodes = Option("nodes", letter: "N", "N", .number(in: 1...64), "Make several nodes.")
private let policy = Option("policy", "WORD", .choice(["fifo", "largest-first"]), "Order jobs.")
private let mark = Option("mark", letter: "m", "TEXT", .text, "Mark it.", valueIsOptional: true)
private let job = Operand("JOB", .text)
private let specs = Operand("SPEC", .text, .some)
private let place = Operand("PLACE", .text, .optional)

private func action(_ call: Call) throws(CommandError) -> ExitCode { .success }

private let root = CommandSpec(
  "tool", "Try the parser.", sharedOptions: [verbose],
  subcommands: [
    CommandSpec(
      "open", "Open something.", operands: [job, specs], options: [json, background, mark],
      examples: [.init("tool open 12 8001:8000", "Open a port.")], action: action),
    CommandSpec(
      "cluster", "Run a cluster.", sharedOptions: [name],
      subcommands: [
        CommandSpec("up", "Start it.", options: [nodes, policy], action: action),
        CommandSpec(
          "exec", "Run a command.", programWords: .init(.afterOperands, isRequired: true),
          action: action),
      ]),
    CommandSpec(
      "session", "Start a shell.", operands: [place], options: [json], foreignOptions: .sbatch,
      programWords: .init(.afterSeparator),
      subcommands: [CommandSpec("list", "List them.", options: [json], action: action)],
      action: action),
    CommandSpec(
      "submit", "Submit a job.", options: [json], foreignOptions: .sbatch,
      programWords: .init(.afterOperands, isRequired: true), action: action),
    CommandSpec(
      "ssh", "Run a command in a job.", operands: [job], programWords: .init(.afterOperands),
      action: action),
  ])

private func parse(_ line: String) throws -> Request {
  try Parser(root).parse(line.split(separator: " ").map { ByteString(String($0)) })
}

private func call(_ line: String) throws -> Call {
  guard case .run(let call) = try parse(line) else { throw ValueError(wanted: "a call") }
  return call
}

private func problem(_ line: String) -> String {
  do {
    _ = try parse(line)
    return "none"
  } catch { return (error as? Parser.Problem)?.message ?? "\(error)" }
}

extension [ByteString] {
  fileprivate var words: [String] { map(\.text) }
}

@Suite struct CommandLineTests {
  @Test(arguments: [
    "open 12 8001:8000 --json", "open --json 12 8001:8000", "--json open 12 8001:8000",
    "open 12 --json 8001:8000", "open -j 12 -- 8001:8000", "-vj open 12 8001:8000",
  ])
  func optionsStandAnywhere(line: String) throws {
    let call = try call(line)
    #expect(call.name == "open")
    #expect(call[json])
    #expect(!call[background])
    #expect(call.first(job) == "12")
    #expect(call[specs] == ["8001:8000"])
  }

  @Test(arguments: [
    "cluster up --name a --nodes 3", "cluster up --name=a -N3", "cluster --name a up --nodes=3",
    "--name a cluster up -N 3", "cluster -na up -vN3", "cluster up --name b --name a -N 3",
  ])
  func valuesAreTyped(line: String) throws {
    let call = try call(line)
    #expect(call.path == ["cluster", "up"])
    #expect(call[name] == "a")
    #expect(call[nodes] == 3)
    #expect(call[policy] == nil)
  }

  @Test func aValueMayBeOptional() throws {
    #expect(try call("open 1 2 -m").has(mark))
    #expect(try call("open 1 2 -m")[mark] == nil)
    #expect(try call("open 1 2 -mx")[mark] == "x")
    #expect(try call("open 1 2 --mark=x")[mark] == "x")
    #expect(try call("open 1 --mark 2")[specs] == ["2"])
  }

  @Test func aFlagIsCounted() throws {
    #expect(try call("open 1 2 -vv -v").count(verbose) == 3)
  }

  @Test func whatStandsBehindTwoDashesIsNoOption() throws {
    #expect(try call("open -- 12 --json")[specs] == ["--json"])
    #expect(try call("open 12 - 8001")[specs] == ["-", "8001"])
  }

  @Test(
    arguments: [
      ("cluster exec srun --json -n 2", "srun --json -n 2"), ("cluster exec -- --odd", "--odd"),
      ("cluster --name b exec srun --name x", "srun --name x"),
      ("cluster exec --name b srun -- x", "srun -- x"), ("ssh 12 ls -l", "ls -l"),
      ("ssh -- 12 ls -l", "ls -l"), ("ssh 12 -- -l", "-l"), ("ssh -v 12", ""),
      ("submit -n 4 ./a.out -n 5 --json", "./a.out -n 5 --json"),
      ("submit --time 1:00 -- --help", "--help"), ("session -- bash -l", "bash -l"),
    ] as [(String, String)])
  func anotherProgramsWordsGoThrough(line: String, words: String) throws {
    let call = try call(line)
    #expect(call.program.words.joined(separator: " ") == words)
    #expect(!call[json])
  }

  @Test func wordsOfAnotherProgramKeepTheirBytes() throws {
    let odd = ByteString(bytes: [0x66, 0xff])
    let words: [ByteString] = ["submit", ByteString("-J") + odd, "-o", odd, odd, odd]
    guard case .run(let call) = try Parser(root).parse(words) else { return }
    #expect(call.program == [odd, odd])
    #expect(call.foreign == [ByteString("-J") + odd, "-o", odd])
  }

  @Test(
    arguments: [
      ("-p short name -n 4 --json", "-p short -n 4"), ("--part short name", "--part short"),
      ("-Hn 4 name", "-Hn 4"), ("-n4 name -k", "-n4 -k"), ("--exclusive name", "--exclusive"),
      ("--exclusive=user name", "--exclusive=user"), ("--gres=gpu:1 name", "--gres=gpu:1"),
      ("name --site-plugin=x", "--site-plugin=x"),
      ("--tunnel 8001:8000 name", "--tunnel 8001:8000"),
    ] as [(String, String)])
  func optionsOfSbatchGoThrough(line: String, foreign: String) throws {
    let call = try call("session " + line)
    #expect(call.foreign.words.joined(separator: " ") == foreign)
    #expect(call.first(place) == "name")
  }

  @Test func aSubcommandGoesBeforeAnOperand() throws {
    #expect(try call("session list --json").path == ["session", "list"])
    #expect(try call("session --json list")[json])
    #expect(try call("session -p list main")[place] == ["main"])
    #expect(try call("session").path == ["session"])
  }

  @Test func aPluginsOptionsAreAskedFor() throws {
    let help = """
      Parallel run options:
        -A, --account=name          charge job to specified account
        -H, --hold                  submit job in held state
            --exclusive[=user]      allocate nodes in exclusive mode
      Options provided by plugins:
            --container-image=IMAGE the image
      """
    let arities = ForeignOptions.arities(inHelp: help)
    #expect(arities.count == 4)
    let asking = ForeignOptions.sbatch.asking { arities[$0].map { .known($0) } ?? .unknown }
    guard case .known(.value) = asking.long("container-image") else {
      Issue.record("a plugin's option is not known")
      return
    }
    guard case .unknown = asking.long("containr") else {
      Issue.record("a wrong option is known")
      return
    }
  }

  @Test(
    arguments: [
      ("open 1 2 --backgroud", "open: unknown option '--backgroud': did you mean --background?"),
      ("open 1 2 --back", "open: unknown option '--back': did you mean --background?"),
      ("open 1 2 -json", "open: unknown option '-s' in '-json': did you mean --json?"),
      ("open 1 2 --xyz", "open: unknown option '--xyz'"),
      ("open 1 2 --json=x", "open: --json takes no value: leave out '=x'"),
      ("opne 1 2", "unknown command 'opne': did you mean open?"),
      ("cluster dwon", "cluster: unknown command 'dwon'"), ("", "name a command"),
      ("cluster", "cluster: name a command"),
      ("open", "open: JOB is missing: type, for example, tool open 12 8001:8000"),
      ("open 1", "open: SPEC is missing: type, for example, tool open 12 8001:8000"),
      ("cluster up x", "cluster up: 'x' is one word too many"),
      ("cluster up --nodes", "cluster up: --nodes needs a value: --nodes N"),
      ("cluster up -N 65", "cluster up: --nodes '65': write a number from 1 to 64"),
      ("cluster up -N +1", "cluster up: --nodes '+1': write a number from 1 to 64"),
      ("cluster up --policy x", "cluster up: --policy 'x': write fifo or largest-first"),
      ("cluster exec", "cluster exec: CMD… is missing"),
      ("cluster up --json", "cluster up: unknown option '--json'"),
      ("session --jsn x", "session: unknown option '--jsn': did you mean --json?"),
      ("session -p", "session: -p needs a value"),
      ("help opne", "unknown command 'opne': did you mean open?"),
    ] as [(String, String)])
  func aWrongLineIsToldWithTheRightOne(line: String, message: String) {
    #expect(problem(line) == message)
  }

  @Test(arguments: [
    ("--help", 1), ("-h", 1), ("help", 1), ("open --help", 2), ("open -h --wrong", 2),
    ("help open", 2), ("cluster up -h", 3), ("help cluster up", 3), ("cluster --help", 2),
    ("cluster --help up", 3), ("session -h", 2),
  ])
  func helpIsOnEachLevel(line: String, depth: Int) throws {
    guard case .help(let path) = try parse(line) else {
      Issue.record("\(line): no help")
      return
    }
    #expect(path.count == depth)
    let text = Help(path).text
    #expect(text.hasPrefix("usage: tool"))
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
  }

  @Test func aCommandsOwnLetterGoesBeforeOurs() throws {
    let hold = Flag("hold", letter: "h", "Hold it.")
    let root = CommandSpec("tool", "Try it.", options: [hold], action: action)
    guard case .run(let call) = try Parser(root).parse(["-h"]) else {
      Issue.record("-h is help")
      return
    }
    #expect(call[hold])
    #expect(Help([root]).text.contains("      --help     Show this help."))
  }

  @Test func helpOfAnotherProgramIsItsOwn() throws {
    #expect(try call("cluster exec srun --help").program.words == ["srun", "--help"])
  }

  @Test func helpShowsTheTable() {
    let text = Help([root, root.subcommands[0]]).text
    #expect(
      text == """
        usage: tool open JOB SPEC… [--json] [--background] [--mark[=TEXT]] [--verbose]

        Open something.

        Options:
          -j, --json         Print one JSON object.
              --background   Leave it open.
          -m, --mark[=TEXT]  Mark it.
          -v, --verbose      Say more.
          -h, --help         Show this help.

        Examples:
          tool open 12 8001:8000  Open a port.
        """)
  }

  @Test(arguments: [
    ("status", "staus", 1), ("close", "colse", 1), ("url", "url", 0), ("", "abc", 3),
  ])
  func slipsAreCounted(left: String, right: String, count: Int) {
    #expect(Nearest.slips(left, right) == count)
  }
}
