// Addresses: what tasks are told of the submit end, Jupyter's runtime file, names of jobs, and why a job has no
// tunnel.

import SpunnelCLI
import Testing

@testable import Spunnel
@testable import SpunnelSlurm
@testable import SpunnelTunnel
@testable import spunnelctl

@Suite struct SubmitVariableTests {
  private func text(_ spec: String, chosen: [Int] = [], nodes: String = "n1") throws -> String {
    let all = try forwards(spec, nodes: nodes)
    return CommandTunnel.variables(all, chosen: chosen.map { all[$0] })
      .map { "\($0.name)=\($0.value)" }.joined(separator: " ")
  }

  @Test func theSubmitEndOfAChosenPortIsToldBesideIt() throws {
    #expect(
      try text("8001:8001,8002:8003", chosen: [0, 1])
        == "SPUNNEL_PORT=8001 SPUNNEL_PORT_1=8001 SPUNNEL_LOCAL_PORT=8001 SPUNNEL_LOCAL_PORT_1=8001 "
        + "SPUNNEL_URL=http://localhost:8001/ SPUNNEL_URL_1=http://localhost:8001/ SPUNNEL_PORT_2=8003 "
        + "SPUNNEL_LOCAL_PORT_2=8002 SPUNNEL_URL_2=http://localhost:8002/")
  }

  @Test func aSocketHasNoURL() throws {
    #expect(try text("/tmp/s:8000", chosen: [0]) == "SPUNNEL_PORT=8000 SPUNNEL_PORT_1=8000")
  }

  @Test func withoutAChoiceTheFirstPortIsTold() throws {
    let told = "SPUNNEL_LOCAL_PORT=8001 SPUNNEL_URL=http://localhost:8001/"
    #expect(try text("R:9000:5432,D:1080,8001:8000,8002:8000") == told)
    #expect(try text("R:9000:5432") == "")
  }

  @Test func onlyADifferentPortIsWorthALine() throws {
    #expect(try forward("8001:8001").portNote == nil)
    #expect(try forward("/tmp/s:8001").portNote == nil)
    let note = try #require(try forward("8001:8002").portNote)
    #expect(note.hasPrefix("port 8001 is in use on n1, so the program has port 8002 there: "))
  }
}

@Suite struct JupyterServerTests {
  @Test func aRuntimeFileIsRead() throws {
    let server = try #require(
      JupyterServer(
        #"{"base_url": "/me/", "hostname": "localhost", "password": false, "pid": 7, "port": 8888, "#
          + #""root_dir": "/home/\u00e9", "secure": false, "sock": "", "token": "3f\u0032a"}"#))
    #expect(server.port == Port(8888) && server.token == "3f2a" && server.path == "/me/")
  }

  @Test(arguments: [
    "", "{}", "[]", #"{"port": "8888"}"#, #"{"port": 88888}"#, #"{"port": 8888"#,
    #"{"port": 8888, "secure": true}"#, #"{"port": 8888, "a": {}}"#, #"{"port": 8888} x"#,
    #"{"port": 8888, "token": "a}"#, #"{"port": 8888, "token": "\x"}"#,
  ])
  func anythingElseIsNone(text: String) {
    #expect(JupyterServer(text) == nil)
  }

  @Test func whatDoesNotShowIsNoTokenAndNoPath() throws {
    let server = try #require(
      JupyterServer(#"{"port": 8888, "token": "a\u001b[0m", "base_url": "//evil"}"#))
    #expect(server.token == nil && server.path == "/")
    #expect(!JupyterServer.isPath("/a b") && !JupyterServer.isPath("lab"))
  }

  @Test(
    arguments: [
      ("firefox", nil, ["firefox"]), ("w3m -o x=%s:lynx", nil, ["w3m", "-o", "x=%s"]),
      (nil, ":0", ["xdg-open"]), ("", "", nil), (nil, nil, nil),
    ] as [(String?, String?, [String]?)])
  func theBrowserIsTheUsers(browser: String?, display: String?, words: [String]?) {
    let found = Browser.words { $0 == "BROWSER" ? browser : $0 == "DISPLAY" ? display : nil }
    #expect(found == words)
  }
}

@Suite struct JobNameTests {
  private func job(
    _ id: UInt32, _ name: String, _ phase: JobPhase = .running, array: UInt32? = nil,
    task: UInt32? = nil
  ) -> JobInfo {
    var job = JobInfo(id: id, user: 1, phase: phase)
    (job.name, job.array, job.task) = (name, array, task)
    (job.state, job.nodes) = (phase == .running ? "RUNNING" : "PENDING", "n1")
    return job
  }

  @Test func aNameMeansTheOneJobThatHasIt() {
    let jobs = [job(1, "a"), job(2, "b"), job(3, "b", .over), job(4, "c", array: 4, task: 1)]
    #expect(JobNames.meaning(of: "b", among: jobs) == .job("2"))
    #expect(JobNames.meaning(of: "c", among: jobs) == .job("4_1"))
    #expect(JobNames.meaning(of: "d", among: jobs) == .nobody)
  }

  @Test func tasksOfOneArrayAreOneJob() {
    let jobs = [job(4, "c", array: 4, task: 1), job(5, "c", array: 4, task: 2)]
    #expect(JobNames.meaning(of: "c", among: jobs) == .job("4"))
  }

  @Test func severalAreNamedUnlessOneIsPreferred() {
    let jobs = [job(12, "b", .pending), job(2, "b")]
    #expect(
      JobNames.meaning(of: "b", among: jobs) == .several(["2 (running on n1)", "12 (pending)"]))
    #expect(JobNames.meaning(of: "b", among: jobs, preferred: [12]) == .job("12"))
  }

  @Test func whatSlurmKnowsOfAMissingJobIsTold() {
    #expect(JobAbsence.next("JobX = 1\nNEXT_JOB_ID             = 57\nA = b\n") == 57)
    #expect(JobAbsence.next("") == nil)
    #expect(JobAbsence.never("57", next: 57).hasPrefix("there has never been such a job"))
    #expect(JobAbsence.never("56_1", next: 57).hasPrefix("the job ended some time ago"))
    #expect(JobAbsence.never("56", next: nil).hasPrefix("Slurm has no such job now"))
    #expect(
      JobAbsence.ended("COMPLETED|2026-11-30T16:52:30\n")
        == "the job is over (COMPLETED, at 2026-11-30T16:52:30), and its tunnel with it")
    #expect(JobAbsence.ended("sacct: error\n") == nil && JobAbsence.ended("") == nil)
  }
}

@Suite struct TableWidthTests {
  private func table() -> Table {
    var table = Table(["A", "LONG"])
    table.add(["a,b,c,d,e,f", "one two three"], moods: [1: .good])
    return table
  }

  @Test func aTableThatFitsIsLeftAlone() {
    #expect(table().text(columns: nil) == "A            LONG\na,b,c,d,e,f  one two three")
    #expect(table().text(columns: 26) == table().text(columns: 0))
  }

  @Test(arguments: 14...25)
  func noLineIsLongerThanTheTerminalAndNothingIsLost(columns: Int) {
    let text = table().text(columns: columns)
    for line in text.split(separator: "\n") { #expect(line.count <= columns, "\(line)") }
    for word in ["a", "f", "one", "three"] { #expect(text.contains(word)) }
  }

  @Test func coloursTakeNoRoom() {
    let text = table().text(columns: 26, inColour: true)
    #expect(text.hasSuffix("a,b,c,d,e,f  \u{1B}[32mone two three\u{1B}[0m"))
    #expect(Screen.frame(text, columns: 26, rows: 5).contains("\u{1B}[32mone two three"))
    #expect(!Screen.frame(text, columns: 20, rows: 5).contains("\u{1B}[32m"))
  }
}
