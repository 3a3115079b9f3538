// What the record says of a tunnel, also when it could not be written for a while.

import Glibc
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelSystem
@testable import SpunnelTunnel

@Suite struct StatusWriterTests {
  private let scratch: Scratch
  private let loop: EventLoop
  private let record: Record
  private let writer: StatusWriter
  private var folder: String { "spunnel-\(getuid())/17.0" }

  init() throws {
    scratch = try Scratch()
    loop = try EventLoop()
    record = try Record.create(StepName(job: 17, step: 0), in: scratch.path, user: getuid())
    writer = StatusWriter(loop, record)
  }

  private var view: RecordView? {
    get throws { try RecordView.all(in: scratch.path, user: getuid()).first }
  }

  /// No file can be put in its place.
  private func block(_ name: String) throws { try scratch.makeDirectory("\(folder)/\(name)") }

  private func unblock(_ name: String) {
    let removed = unsafe rmdir("\(scratch.path)/\(folder)/\(name)")
    #expect(removed == 0)
  }

  @Test(arguments: [["host"], ["status"], ["host", "status"]])
  func whatCouldNotBeWrittenIsWrittenLaterByItself(files: [String]) throws {
    let host = HostFile(nodes: try nodes(), forwards: try forwards("8001:80"))
    for file in files { try block(file) }
    writer.host = host
    writer.enter(.up)
    // What can be written is not held up.
    #expect(try view?.host == (files.contains("host") ? nil : host))
    #expect(try view?.status.state == (files.contains("status") ? .starting : .up))
    for file in files { unblock(file) }
    #expect(try loop.turn { try view?.host == host && view?.status.state == .up })
    record.remove()
  }

  @Test func aFailureThatLastsIsLoggedOnce() throws {
    try block("host")
    writer.host = HostFile(nodes: try nodes(), forwards: try forwards("8001:80"))
    for _ in 0..<3 { writer.write() }
    #expect(try scratch.read("\(folder)/log").split(separator: "\n").count == 1)
    unblock("host")
    record.remove()
  }

  @Test func whatIsWrittenIsNotWrittenAgain() throws {
    writer.host = HostFile(nodes: try nodes(), forwards: try forwards("8001:80"))
    writer.enter(.up)
    #expect(loop.timeToNext(atMost: -1) == -1)
    record.remove()
  }
}
