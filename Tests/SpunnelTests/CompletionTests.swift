// What the shells are told to offer.

import Testing

@testable import SpunnelCLI

private let jobs = ValueKind<String>.text(
  .asked { context in
    [Candidate("12", "RUNNING web"), Candidate("13")].filter { !context.operands.contains($0.word) }
  })
private let folder = Option("folder", letter: "f", "DIR", .folder, "Look there.")
private let policy = Option("policy", "WORD", .choice(["fifo", "largest"]), "Order jobs.")
private let quiet = Flag("quiet", letter: "q", "Say less.")
private let secret = Flag("secret", "Not shown.", isHidden: true)

private func action(_ call: Call) throws(CommandError) -> ExitCode { .success }

private let root = CommandSpec(
  "tool", "Try completion.",
  subcommands: [
    CommandSpec(
      "close", "Close it.", operands: [Operand("JOB", jobs, .many)],
      options: [folder, policy, quiet, secret], action: action),
    CommandSpec(
      "exec", "Run it.", options: [quiet], programWords: .init(.afterOperands), action: action),
    CommandSpec(
      "session", "Start it.", operands: [Operand("NAME", jobs, .optional)], options: [quiet],
      foreignOptions: .sbatch.completing(["--partition": .words(["short", "long"]), "-p": .files]),
      programWords: .init(.afterSeparator),
      subcommands: [CommandSpec("list", "List them.", action: action)], action: action),
  ])

@Suite struct CompletionTests {
  /// - Parameter line: the word that is being typed stands behind the last space
  private func answer(_ line: String) -> String {
    let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    let answer = Completer(root).answer(words)
    return (answer.candidates.map(\.word) + (answer.addition.map { [":\($0)"] } ?? []))
      .joined(separator: " ")
  }

  @Test(
    arguments: [
      ("", "close exec session help"), ("cl", "close"), ("x", ""), ("help ", "close exec session"),
      ("help session ", "list"), ("close ", "12 13"), ("close 12 ", "13"), ("close 1", "12 13"),
      ("close --", "--folder --policy --quiet --help"),
      ("close --quiet --", "--folder --policy --help"),
      ("close -q -", "--folder --policy --help"), ("close --policy ", "fifo largest"),
      ("close --policy l", "largest"), ("close --policy=f", "--policy=fifo"),
      ("close --folder ", ":folders"), ("close -f ", ":folders"), ("close -qf ", ":folders"),
      ("close --folder=/t", ":folders"), ("close --folder /tmp ", "12 13"),
      ("close -- -", ""), ("close --wrong ", "12 13"), ("--quiet close 12 ", "13"),
      ("exec ", ":programs"), ("exec -", "--quiet --help"), ("exec ls -", ":programs"),
      ("exec ls ", ":programs"), ("session ", "list 12 13"), ("session 12 ", ""),
      ("session -p ", ":files"), ("session --partition ", "short long"),
      ("session --partition=s", "--partition=short"), ("session --partition short ", "list 12 13"),
      ("session --time 5 ", "list 12 13"), ("session -- ", ":programs"),
      ("session --gpus-per", "--gpus-per-node --gpus-per-socket --gpus-per-task"),
      ("session list ", ""),
    ] as [(String, String)])
  func theWordsThatFitAreOffered(line: String, words: String) {
    #expect(answer(line) == words)
  }

  @Test func meaningsStandBehindTabs() {
    #expect(Completer(root).answer(["close", "1"]).lines == ["12\tRUNNING web", "13"])
    #expect(Completer(root).answer(["close", "--folder", ""]).lines == [":folders"])
    #expect(Completer(root).answer([]).candidates.count == 4)
  }

  @Test(arguments: [CompletionScripts.bash, CompletionScripts.zsh, CompletionScripts.fish])
  func scriptsNameTheirPrograms(script: String) {
    let text = CompletionScripts.text(script, for: ["tool", "t2"])
    #expect(!text.contains("PROGRAM"))
    #expect(text.contains("tool t2"))
  }
}
