// Records on a real directory: made, locked, seen, swept, removed, and never left behind.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct RecordTests {
  private let scratch: Scratch
  private let user = getuid()
  private let step = StepName(job: 17, step: 0)
  private var name: String { "spunnel-\(user)" }

  init() throws { scratch = try Scratch() }

  private func create(_ step: StepName? = nil) throws -> Record {
    try Record.create(step ?? self.step, in: scratch.path, user: user)
  }

  private func views() throws -> [RecordView] {
    try RecordView.all(in: scratch.path, user: user)
  }

  /// A record whose keeper is gone without a word.
  private func abandon(_ step: StepName) throws {
    do { try create(step).write(Status()) }
    #expect(
      try eventually { try views().contains { $0.step == step && $0.state == .stale } })
  }

  @Test func aRecordIsADirectoryThatIsTheUsersAlone() throws {
    let record = try create()
    let attributes = try record.directory.attributes()
    #expect(attributes.st_mode & 0o7777 == 0o700)
    #expect(attributes.st_uid == user)
    #expect(scratch.names() == [name])
    #expect(scratch.names("/" + name) == ["17.0"])
    #expect(record.controlPath(of: 0) == "\(scratch.path)/\(name)/17.0/control")
    record.remove()
  }

  @Test func nothingIsLeftAtTheEnd() throws {
    let record = try create()
    record.write(Status())
    try record.write(
      HostFile(nodes: try nodes(), forwards: try forwards("8001:80")))
    record.log("a line")
    try record.directory.touch(RecordFile.exit)
    record.remove()
    #expect(scratch.names() == [])
    record.remove()
  }

  @Test func whatIsWrittenIsSeen() throws {
    let record = try create()
    defer { record.remove() }
    let host = HostFile(nodes: try nodes(), forwards: try forwards("8001:80"))
    var status = Status()
    (status.state, status.sent, status.keeper) = (.up, 77, 4711)
    try record.write(host)
    record.write(status)
    let view = try #require(try views().first)
    #expect(view.step == step)
    #expect(view.host == host)
    #expect(view.status == status)
    #expect(scratch.names("/\(name)/17.0") == ["host", "status"])
  }

  @Test func aRecordThatSaysNothingYetIsStarting() throws {
    let record = try create()
    defer { record.remove() }
    let view = try #require(try views().first)
    #expect(view.host == HostFile(nodes: [], forwards: []))
    #expect(view.state == .starting)
  }

  @Test func aRecordThatNobodyHoldsIsStale() throws {
    try abandon(step)
    #expect(try views().map(\.state) == [.stale])
  }

  @Test func lookingDoesNotTakeTheRecordAway() throws {
    let record = try create()
    defer { record.remove() }
    for _ in 0..<3 { #expect(try views().map(\.state) == [.starting]) }
    #expect(throws: RecordError.taken(step)) { try create() }
  }

  @Test func aStepHasOneRecord() throws {
    let record = try create()
    #expect(throws: RecordError.taken(step)) { try create() }
    record.remove()
    try create().remove()
  }

  @Test func whoRemovesARecordLateLeavesTheNextOneOfTheStepAlone() throws {
    // The last one takes the directory of all records with it.
    let other = try create(StepName(job: 2, step: 0))
    let first = try create()
    first.remove()
    let next = try create()
    first.remove()
    #expect(!next.isGone)
    #expect(try views().map(\.step) == [other.step, step])
    next.remove()
    other.remove()
    #expect(scratch.names() == [])
  }

  @Test func twoRecordsStandSideBySide() throws {
    let other = StepName(job: 9, step: 4)
    let records = [try create(), try create(other)]
    #expect(try views().map(\.step) == [other, step])
    records[0].remove()
    #expect(try views().map(\.step) == [other])
    records[1].remove()
    #expect(scratch.names() == [])
  }

  @Test func aNewRecordSweepsTheStaleOnesAndNoOthers() throws {
    let alive = try create(StepName(job: 2, step: 0))
    try abandon(StepName(job: 1, step: 0))
    try abandon(step)
    let record = try create()
    #expect(try views().map(\.step.job) == [2, 17])
    alive.remove()
    record.remove()
  }

  @Test func sweepingTellsWhatItRemoved() throws {
    let alive = try create(StepName(job: 1, step: 0))
    let gone = [StepName(job: 2, step: 0), StepName(job: 3, step: 0)]
    for step in gone { try abandon(step) }
    #expect(try StateDirectory.sweep(in: scratch.path, user: user) == [gone[1]])
    alive.remove()
    #expect(scratch.names() == [])
  }

  @Test func whoHasNoDirectoryHasNoRecords() throws {
    #expect(try views() == [])
    #expect(scratch.names() == [])
  }

  @Test func damagedFilesAreNoReasonToFail() throws {
    let record = try create()
    defer { record.remove() }
    try scratch.write("node -x\n", to: "\(name)/17.0/host")
    try scratch.write("\u{0}\u{1b}", to: "\(name)/17.0/status")
    let view = try #require(try views().first)
    #expect(view.host == nil)
    #expect(view.status == Status())
  }

  @Test func aFifoInPlaceOfAFileDoesNotHoldTheReader() throws {
    let record = try create()
    defer { record.remove() }
    #expect(unsafe mkfifo("\(scratch.path)/\(name)/17.0/status", 0o600) == 0)
    #expect(try views().map(\.status) == [Status()])
  }

  @Test func theExitFlagAndTheControlSocketAreSeen() throws {
    let record = try create()
    defer { record.remove() }
    #expect(!record.exitIsMeant && !record.controlExists(of: 0))
    try record.directory.touch(RecordFile.exit)
    try scratch.write("", to: "\(name)/17.0/control")
    #expect(record.exitIsMeant && record.controlExists(of: 0))
    record.removeControl(of: 0)
    #expect(!record.controlExists(of: 0))
  }

  @Test func theLogHasOneSafeLineForEachCall() throws {
    let record = try create()
    defer { record.remove() }
    record.log("one\ntwo\u{1b}[2J")
    record.log("three")
    let lines = try scratch.read("\(name)/17.0/log").split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines.first?.hasSuffix("Z one?two?[2J") == true)
    #expect(lines.last?.hasSuffix("Z three") == true)
  }

  @Test func whatHappensWhileTheLogCannotBeOpenedIsWrittenLater() throws {
    let record = try create()
    defer { record.remove() }
    try scratch.makeDirectory("\(name)/17.0/log")
    for number in 1...100 { record.log("line \(number)") }
    let removed = unsafe rmdir("\(scratch.path)/\(name)/17.0/log")
    #expect(removed == 0)
    record.write(Status())
    let lines = try scratch.read("\(name)/17.0/log").split(separator: "\n")
    #expect(lines.count == 40)
    #expect(lines.first?.hasSuffix("Z line 61") == true)
    #expect(lines.last?.hasSuffix("Z line 100") == true)
  }

  @Test func aLongLogIsMovedAway() throws {
    let record = try create()
    defer { record.remove() }
    try scratch.write(String(repeating: "x", count: 256 * 1024), to: "\(name)/17.0/log")
    record.log("the last")
    #expect(scratch.names("/\(name)/17.0") == ["log.old"])
    record.log("the first")
    #expect(scratch.names("/\(name)/17.0") == ["log", "log.old"])
  }

  @Test func aPathTooLongForASocketIsRefusedAndNothingLeft() throws {
    let long = String(repeating: "x", count: 84 - scratch.path.utf8.count)
    try scratch.makeDirectory(long)
    let base = scratch.path + "/" + long
    let path = "\(base)/\(name)/17.0/control"
    #expect(throws: RecordError.tooLong(path: path, limit: 84)) {
      try Record.create(step, in: base, user: user)
    }
    #expect(scratch.names("/" + long) == [])
  }

  @Test func theLongestPathIsTaken() throws {
    let tail = "/\(name)/17.0/control"
    let base = scratch.path + "/"
    let fitting = String(repeating: "x", count: 84 - base.utf8.count - tail.utf8.count)
    try scratch.makeDirectory(fitting)
    let record = try Record.create(step, in: base + fitting, user: user)
    #expect(record.controlPath(of: 0).utf8.count == 84)
    record.remove()
  }

  @Test func theHolderOfAPortIsFoundWhileItLives() throws {
    let port = try #require(Port(8001))
    let record = try create()
    try record.write(
      HostFile(nodes: try nodes(), forwards: try forwards("7001:1,8001:80")))
    #expect(RecordView.holder(of: port, in: scratch.path, user: user)?.step == step)
    #expect(RecordView.holder(of: try #require(Port(80)), in: scratch.path, user: user) == nil)
    record.remove()
    #expect(RecordView.holder(of: port, in: scratch.path, user: user) == nil)
  }

  @Test func racingCreatorsAndRemoversGetTheirRecordsAndLeaveNothing() async throws {
    let errors = await withTaskGroup(of: [String].self) { group in
      for racer in 0..<3 as Range<UInt32> {
        group.addTask { [path = scratch.path, user] in
          var errors: [String] = []
          for round in 0..<150 as Range<UInt32> {
            do {
              let record = try Record.create(
                StepName(job: racer, step: round), in: path, user: user)
              record.write(Status())
              record.remove()
            } catch { errors.append("\(error)") }
          }
          return errors
        }
      }
      return await group.reduce(into: []) { $0 += $1 }
    }
    #expect(errors == [])
    #expect(scratch.names() == [])
  }
}

/// A place that strangers share is trusted only as far as it deserves.
@Suite struct StateDirectoryTests {
  private let scratch: Scratch
  private let user = getuid()
  private var name: String { "spunnel-\(user)" }

  init() throws { scratch = try Scratch() }

  /// Expects that neither making nor looking trusts it.
  private func expectDistrust(
    of path: String, _ why: String, as user: uid_t? = nil,
    at location: SourceLocation = #_sourceLocation
  ) {
    let user = user ?? self.user
    let expected = RecordError.untrusted(path: path, why: why)
    #expect(throws: expected, sourceLocation: location) {
      try Record.create(StepName(job: 1, step: 0), in: scratch.path, user: user)
    }
    #expect(throws: expected, sourceLocation: location) {
      try RecordView.all(in: scratch.path, user: user)
    }
    #expect(expected.description.contains("'\(path)'"))
  }

  /// Expects that what is another's is neither used nor in the way of a record.
  private func expectDetour(
    around path: String, _ why: String, at location: SourceLocation = #_sourceLocation
  ) throws {
    let expected = RecordError.untrusted(path: path, why: why)
    #expect(throws: expected, sourceLocation: location) {
      try RecordView.all(in: scratch.path, user: user)
    }
    let before = scratch.names()
    let record = try Record.create(StepName(job: 1, step: 0), in: scratch.path, user: user)
    let added = Set(scratch.names()).subtracting(before)
    let other = try #require(added.first.flatMap { StateName($0) }, sourceLocation: location)
    #expect(other.user == user && !other.isFirst, sourceLocation: location)
    let views = try RecordView.all(in: scratch.path, user: user)
    #expect(views.map(\.step.job) == [1], sourceLocation: location)
    record.remove()
    #expect(scratch.names() == before, sourceLocation: location)
  }

  private var path: String { scratch.path + "/" + name }

  @Test func aLinkIsNotFollowed() throws {
    try scratch.makeDirectory("elsewhere")
    try scratch.makeLink(name, to: scratch.path + "/elsewhere")
    try expectDetour(around: path, "it is not a directory")
    #expect(scratch.names("/elsewhere") == [])
  }

  @Test func aDanglingLinkIsNotFollowed() throws {
    try scratch.makeLink(name, to: scratch.path + "/nowhere")
    try expectDetour(around: path, "it is not a directory")
    #expect(scratch.names() == [name])
  }

  @Test func aFileIsNoDirectory() throws {
    try scratch.write("", to: name)
    try expectDetour(around: path, "it is not a directory")
  }

  @Test(arguments: [0o750, 0o705, 0o701, 0o777, 0o720, 0o1777] as [mode_t])
  func aDirectoryThatOthersMayEnterIsNotTrusted(mode: mode_t) throws {
    try scratch.makeDirectory(name, mode: mode)
    expectDistrust(of: path, "its mode is \(String(mode, radix: 8)) and not 700")
  }

  @Test(.enabled(if: isRoot, "giving a directory away needs root"))
  func aDirectoryOfAnotherUserIsNotTrusted() throws {
    try scratch.makeDirectory(name)
    try scratch.setOwner(stranger, of: name)
    try expectDetour(around: path, "it belongs to uid \(stranger)")
  }

  @Test(.enabled(if: isRoot, "giving a directory away needs root"))
  func aBaseOfAnotherUserIsNotTrusted() throws {
    try scratch.setOwner(stranger, of: ".")
    expectDistrust(of: scratch.path, "it belongs to uid \(stranger)")
  }

  @Test(arguments: [0o777, 0o722, 0o770] as [mode_t])
  func aBaseThatOthersMayChangeIsNotTrustedUnlessSticky(mode: mode_t) throws {
    try scratch.setMode(mode, of: ".")
    expectDistrust(of: scratch.path, "others may write to it and it is not sticky")
    #expect(scratch.names() == [])
    try scratch.setMode(mode | 0o1000, of: ".")
    try Record.create(StepName(job: 1, step: 0), in: scratch.path, user: user).remove()
  }

  @Test func aBaseMayBeALink() throws {
    try scratch.makeDirectory("real")
    try scratch.makeLink("link", to: "real")
    let base = scratch.path + "/link"
    let record = try Record.create(StepName(job: 1, step: 0), in: base, user: user)
    #expect(scratch.names("/real") == [name])
    record.remove()
  }

  @Test func aBaseThatIsNotThereIsNamed() {
    let base = scratch.path + "/none"
    #expect(throws: RecordError.system(SystemError("open \(base)", ENOENT))) {
      try Record.create(StepName(job: 1, step: 0), in: base, user: user)
    }
  }

  @Test func entriesThatAreNoStepsAreLeftAlone() throws {
    try scratch.makeDirectory(name)
    for other in ["x", "1", "01.0", "1.0.1"] { try scratch.makeDirectory("\(name)/\(other)") }
    try Record.create(StepName(job: 1, step: 0), in: scratch.path, user: user).remove()
    #expect(scratch.names("/" + name) == ["01.0", "1", "1.0.1", "x"])
  }
}
