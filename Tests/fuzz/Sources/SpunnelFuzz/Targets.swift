// All targets, as `main` finds them by name.

import Glibc
import SpunnelSystem

@testable import SpunnelCLI
@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel
@testable import spunnelctl

let targets: [Target] = [
  Target("line", testLine),
  Target("spec", text: testSpec),
  Target("settings", text: testSettings),
  Target("site", testSite),
  Target("names", text: testNames),
  Target("host", text: testHostFile),
  Target("status", text: testStatus),
  Target("record", testRecord),
  Target("multiplex", testMultiplex),
  Target("diagnosis", testDiagnosis),
  Target("configuration", text: testConfiguration),
  Target("command", text: testCommand),
  Target("report", text: testReport),
  Target("request", text: testRequest),
  Target("jobs", text: testJobs),
  Target("socks", testSocks),
]

// MARK: What people type

/// A command line of spunnelctl, with a NUL between two words.
func testLine(_ bytes: [UInt8]) {
  let words = bytes.split(separator: 0, omittingEmptySubsequences: false)
    .map { ByteString(bytes: $0) }
  do throws(Parser.Problem) {
    let request = try Parser(CommandTree.root).parse(words)
    if case .run(let call) = request {
      expect(!call.path.isEmpty, "a command")
      expect(words.suffix(call.program.count).elementsEqual(call.program), "its last words")
    }
  } catch {
    expectLine(error.message)
    expectLine(error.command)
  }
}

private let nodes = ["n1", "n2", "node-3.cluster"].compactMap { NodeName($0) }
private let facts = StepFacts(step: StepName(job: 12, step: 0), nodes: nodes, user: "user1")

func testSpec(_ text: String) {
  let spec: TunnelSpec
  do throws(SpecError) { spec = try TunnelSpec(text) } catch { return expectLine("\(error)") }
  expectSame(spec, try? TunnelSpec(spec.description), spec.description)
  expectLine(spec.description)
  for forward in spec.forwards { expectLine(forward.promise(12)) }
  for anywhere in [false, true] {
    do throws(SpecError) {
      let planned = try spec.plan(facts, anywhere: anywhere)
      expect(planned.count == spec.forwards.count, "a list for each forward of '\(spec)'")
      for forward in planned.joined() {
        expectSame(forward, Forward(words: forward.words), forward.words)
        expectLine(forward.arrow)
        expectLine(forward.description)
      }
      let pinned = spec.pinned(to: planned)
      expectSame(pinned, try? TunnelSpec(pinned.description), pinned.description)
      testAnnouncement(Array(planned.joined()))
    } catch { expectLine("\(error)") }
  }
}

func testAnnouncement(_ forwards: [Forward]) {
  let announcement = Announcement(forwards)
  for line in announcement.forwards + forwards.compactMap({ $0.address() }) { expectLine(line) }
  if let command = announcement.command { expectLine(command) }
}

/// Words as Slurm cuts them out of plugstack.conf.
func testSettings(_ text: String) {
  let words = text.split(whereSeparator: \.isWhitespace).map(String.init)
  do throws(SettingsError) {
    let settings = try Settings(arguments: words)
    expect((1...3600).contains(settings.timeout), "a timeout in range, got \(settings.timeout)")
    expect(!settings.sshCommand.isEmpty, "a program")
    let command = SSHCommand(
      settings, node: nodes[0], controlPath: settings.stateDirectory + "/control",
      SSHConfiguration())
    expect(Array(command.arguments.suffix(2)) == ["--", "n1"], "the node last, behind --")
    _ = SSHCommand(asking: settings, node: nodes[0])
  } catch { expectLine("\(error)") }
}

/// slurm.conf, and plugstack.conf.
func testSite(_ bytes: [UInt8]) {
  let spaces: [UInt8] = [9, 10, 11, 12, 13, 32]
  for line in SlurmConfigurationFile.lines(of: bytes) {
    if let file = SlurmConfigurationFile.included(by: line) {
      expect(!file.contains(where: spaces.contains), "a file's name has no space")
    } else if let (key, _) = SlurmConfigurationFile.pair(line) {
      expect(key == key.lowercased(), "a key in small letters")
    }
  }
  for line in bytes.split(separator: 10) {
    let words = PluginLine.words(of: line)
    expect(!words.contains { $0.isEmpty || $0.contains("#") }, "words without a comment")
    do throws(SettingsError) { _ = try Settings(arguments: words) } catch { expectLine("\(error)") }
  }
}

func testNames(_ text: String) {
  if let node = NodeName(text) { expectSame(node, NodeName(node.description), text) }
  if let host = HostName(text) {
    expectSame(host, HostName(host.description), text)
    expectLine(host.bracketed)
  }
  if let step = StepName(text) { expectSame(step, StepName(step.description), text) }
  if let step = StepName(job: 7, label: text) {
    expectSame(step, StepName(job: 7, label: step.stepLabel), text)
  }
  if let end = Endpoint(text) { expectSame(end, Endpoint(end.description), text) }
  if let port = Port(text) { expectSame(port, Port(port.description), text) }
  expect(printable(printable(text).prefix(200)) == printable(text).prefix(200), "plain stays plain")
  if let names = NodeName.list(text) {
    let again = names.map(\.description).joined(separator: ",")
    expectSame(names, NodeName.list(again), again)
  }
}

// MARK: Records

func testHostFile(_ text: String) {
  guard let host = HostFile(text) else { return }
  expectSame(host, HostFile(host.text), host.text)
  testAnnouncement(host.forwards)
  for forward in host.forwards {
    expectSame(forward, Forward(words: forward.words), forward.words)
    if let port = forward.submit.port { _ = host.holds(port) }
  }
}

func testStatus(_ text: String) {
  guard let status = Status(text) else { return }
  expectSame(status, Status(status.text), status.text)
  expectLine(timestamp(status.since))
}

/// A record's files, damaged, as `spunnelctl status` shows them: host, status and log, cut at zeros.
/// The length chooses one of its forms: every one for each input would take three times as long.
func testRecord(_ bytes: [UInt8]) {
  let damaged = DamagedRecord.shared
  let parts = bytes.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
  for (index, name) in ["host", "status", "log"].enumerated() {
    damaged.write(name, index < parts.count ? parts[index] : [])
  }
  let forms = [["--json"], [], ["12"]]
  let words = ["status", "--state-dir", damaged.base] + forms[bytes.count % forms.count]
  let code = Tool(CommandTree.root, version: VersionReport.show).run(words.map { ByteString($0) })
  expect(code == 0, "status of any record, got \(code)")
}

// MARK: ssh

/// The first byte says how long the pieces are in which the rest comes.
func testMultiplex(_ bytes: [UInt8]) {
  let rest = Array(bytes.dropFirst())
  let size = max(1, Int(bytes.first ?? 1))
  var whole = MultiplexReader()
  var pieces = MultiplexReader()
  var replies: [MultiplexReply] = []
  do throws(MultiplexReader.Malformed) {
    for start in stride(from: 0, to: rest.count, by: size) {
      replies += try pieces.take(Array(rest[start..<min(start + size, rest.count)]))
    }
  } catch {
    return expect((try? whole.take(rest)) == nil, "the same error whatever the pieces")
  }
  expectSame(replies, try? whole.take(rest), "\(rest)")
}

/// The first byte is ssh's exit status.
func testDiagnosis(_ bytes: [UInt8]) {
  let text = String(decoding: bytes.dropFirst(), as: UTF8.self)
  let lines = text.split(separator: "\n").map(String.init)
  let diagnosis = SSHDiagnosis(lines: lines, node: nodes[0], exitCode: Int(bytes.first ?? 0))
  expectLine(diagnosis.message)
  if let line = lines.first { expectLine(SSHDiagnosis(refusal: line, node: nodes[0]).message) }
}

func testConfiguration(_ text: String) {
  let configuration = SSHConfiguration(text)
  for timeout in [1, 15, 3600] {
    for option in configuration.needed + configuration.preferred(timeout: timeout) {
      expect(!option.contains("\n"), "one line, got '\(option)'")
      expect(option.contains("="), "name and value, got '\(option)'")
    }
  }
}

// MARK: The keeper's conversations

func testCommand(_ line: String) {
  guard let command = KeeperCommand(line: line) else { return }
  expect(command.line.hasSuffix("\n"), "a line")
  expectSame(command, KeeperCommand(line: String(command.line.dropLast())), command.line)
}

func testReport(_ line: String) {
  // Whoever reads has cut at the newlines.
  guard !line.utf8.contains(10), let report = KeeperReport(line: line) else { return }
  // A carriage return and the newline are one character.
  let line = String(decoding: report.line.utf8.dropLast(), as: UTF8.self)
  expectSame(report, KeeperReport(line: line), report.line)
}

func testRequest(_ text: String) {
  let words = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  guard let request = KeeperRequest(words: words) else { return }
  expectSame(request, KeeperRequest(words: request.words), "\(request.words)")
}

/// What spunnel-jobs writes, to the keeper and to spunnelctl.
func testJobs(_ text: String) {
  for line in text.split(separator: "\n") {
    switch JobNews(line: line) {
    case .over(let why), .lost(let why): if !why.isEmpty { expectLine(why) }
    case .running(let nodes): expect(!nodes.isEmpty, "a node")
    case .pending, .untold, nil: break
    }
  }
  if let facts = JobFacts(text), !facts.detail.isEmpty { expectLine(facts.detail) }
}

/// Bytes as a client sends them; as many are taken at a time as are asked for.
func testSocks(_ bytes: [UInt8]) {
  var request = SocksRequest()
  var rest = bytes[...]
  while let step = request.next() {
    switch step {
    case .more(let count):
      expect(count > 0, "a question for bytes, got \(count)")
      if rest.isEmpty { return }
      request.take(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    case .answer(let answer): expect(answer == [5, 0], "a greeting, got \(answer)")
    case .connect(let host, _):
      expectSame(host, HostName(host.description), "\(host)")
      expect(request.verdict(true) != request.verdict(false), "a verdict")
      return
    case .refuse(let answer): return expect(!answer.isEmpty, "an answer")
    }
  }
}
