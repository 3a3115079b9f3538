// The table of spunnelctl's commands: help, manual and completion say the same.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelCLI
@testable import spunnelctl

/// All commands, each with those above it.
private let commands: [[CommandSpec]] = commands(below: [CommandTree.root])

private func commands(below path: [CommandSpec]) -> [[CommandSpec]] {
  [path] + (path.last?.subcommands ?? []).flatMap { commands(below: path + [$0]) }
}

private func words(_ path: [CommandSpec]) -> [String] { path.dropFirst().map(\.name) }

@Suite struct CommandTreeTests {
  @Test(arguments: commands)
  func helpNamesEachOptionAndEndsAtEightyColumns(path: [CommandSpec]) throws {
    let text = Help(path).text
    for line in text.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    for option in path.options where !option.isHidden { #expect(text.contains(option.title)) }
    let line = (words(path) + ["--help"]).map { ByteString($0) }
    guard case .help(let found) = try Parser(CommandTree.root).parse(line) else {
      Issue.record("no help")
      return
    }
    #expect(Help(found).text == text)
  }

  @Test(arguments: commands)
  func completionOffersEachOptionAndCommand(path: [CommandSpec]) {
    let completer = Completer(CommandTree.root)
    let options = completer.answer(words(path) + ["--"]).candidates.map(\.word)
    for option in path.options where !option.isHidden && option.long != nil {
      #expect(options.contains(option.title))
    }
    let names = completer.answer(words(path) + [""]).candidates.map(\.word)
    for command in path.last?.subcommands ?? [] where !command.isHidden {
      #expect(names.contains(command.name))
    }
  }

  @Test(arguments: commands)
  func everyCommandHasAnExampleThatCanBeRead(path: [CommandSpec]) throws {
    let examples = path.last?.examples ?? []
    if path.last?.isHidden == false, path.last?.name != "spunnelctl" { #expect(!examples.isEmpty) }
    for example in examples where example.line.hasPrefix("spunnelctl ") {
      let line = example.line.split(separator: " ").dropFirst().map { ByteString(String($0)) }
      guard case .run(let call) = try Parser(CommandTree.root).parse(line) else {
        Issue.record("\(example.line) runs nothing")
        continue
      }
      #expect(call.path.starts(with: words(path)))
    }
  }

  @Test func anOptionTakesAValueEverywhereOrNowhere() {
    var arities: [String: OptionSpec.Arity] = [:]
    for option in commands.flatMap(\.options) {
      guard let long = option.long else { continue }
      #expect(arities[long, default: option.arity] == option.arity, "--\(long)")
      arities[long] = option.arity
    }
  }

  @Test func theManualsSynopsisIsTheTables() throws {
    let page = try file("docs/man/spunnelctl.1")
    let start = try #require(page.firstIndex(of: ".Sh SYNOPSIS"))
    let end = try #require(page.firstIndex(of: ".Sh DESCRIPTION"))
    // `make manual` writes it anew.
    #expect(page[start..<end].joined(separator: "\n") == Manual.synopsis(of: CommandTree.root))
  }

  @Test func theManualTellsOfEachCommand() throws {
    let page = try file("docs/man/spunnelctl.1")
    for command in CommandTree.root.subcommands where !command.isHidden {
      #expect(page.contains(".It Cm \(command.name)"))
    }
  }

  /// The lines of a file of this repository.
  private func file(_ path: String) throws -> [String] {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let descriptor = try FileDescriptor.open("/\(root)/\(path)", O_RDONLY)
    let bytes = try descriptor.read(atMost: 1 << 20) ?? []
    return String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }
}
