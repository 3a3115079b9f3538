// What becomes of a job, as a script in place of spunnel-jobs tells it.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

@Suite struct JobWatchTests {
  private final class News {
    var all: [JobNews] = []
  }

  private let loop: EventLoop
  private let scratch: Scratch
  private let news = News()

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
  }

  private func watch(_ script: String, step: StepName = .wholeJob(17)) throws -> JobWatch {
    try scratch.write("#!/bin/sh\n\(script)\n", to: "jobs", mode: 0o700)
    let watch = JobWatch(loop, program: scratch.path + "/jobs", step: step) { [news] in
      news.all.append($0)
    }
    // A test beside this one may be starting a child that still has the script open for writing.
    #expect(
      try eventually {
        do throws(SystemError) { try watch.start() } catch {
          if error.code == ETXTBSY { return false }
          throw error
        }
        return true
      })
    return watch
  }

  private func turn(_ watch: JobWatch, until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      watch.reap()
      return condition()
    }
  }

  @Test func everyLineIsNewsAndOthersArePassedOver() throws {
    let watch = try watch(
      "echo pending; echo nonsense; echo; printf 'running n1,'; sleep 0.05; echo n2; exec sleep 60")
    #expect(try turn(watch) { news.all.count == 2 })
    #expect(news.all == [.pending, .running(try nodes("n1,n2"))])
    watch.stop()
  }

  @Test(arguments: [(StepName.wholeJob(17), "17"), (StepName(job: 17, step: 4), "17.4")])
  func itIsToldWhatToWatch(step: StepName, word: String) throws {
    let watch = try watch("echo over $# $1 $2", step: step)
    #expect(try turn(watch) { !news.all.isEmpty })
    #expect(news.all == [.over("2 watch \(word)")])
    watch.stop()
  }

  @Test func itCanBeAskedAtOnce() throws {
    // The pipe does not block: without a question it has nothing to read.
    let watch = try watch(
      "echo pending; until read -r line; do sleep 0.01; done; echo over asked; exec sleep 60")
    #expect(try turn(watch) { !news.all.isEmpty })
    try loop.settle(watch.reap)
    #expect(news.all == [.pending])
    watch.ask()
    #expect(try turn(watch) { news.all == [.pending, .over("asked")] })
    watch.stop()
    watch.ask()
  }

  @Test func oneThatEndsByItselfIsStartedAgain() throws {
    let watch = try watch("echo x >>'\(scratch.path)/starts'; echo pending; exit 1")
    #expect(try turn(watch) { news.all.count >= 2 })
    #expect(try scratch.read("starts").hasPrefix("x\nx\n"))
    watch.stop()
  }

  @Test func onceTheJobIsOverItIsNotStartedAgain() throws {
    let watch = try watch("echo over COMPLETED")
    #expect(try turn(watch) { !news.all.isEmpty })
    let end = Clock.milliseconds() + 2300
    #expect(try turn(watch) { Clock.milliseconds() > end })
    #expect(news.all == [.over("COMPLETED")])
  }

  @Test func stoppingEndsItWithoutAWord() throws {
    let watch = try watch("echo $$ >'\(scratch.path)/pid'; exec sleep 60")
    #expect(try turn(watch) { (try? scratch.read("pid"))?.hasSuffix("\n") == true })
    let child = try #require(pid_t(try scratch.read("pid").dropLast()))
    watch.stop()
    #expect(eventually { !isRunning(child) })
    try loop.settle(watch.reap)
    #expect(news.all == [])
  }

  @Test func aProgramThatIsMissingIsAnError() {
    let watch = JobWatch(loop, program: scratch.path + "/none", step: .wholeJob(1)) { _ in }
    let error = #expect(throws: SystemError.self) { try watch.start() }
    #expect(error?.code == ENOENT)
  }
}
