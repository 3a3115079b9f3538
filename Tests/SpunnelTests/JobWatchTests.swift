// What becomes of a job, as a script in place of spunnel-jobs tells it.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

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

  private func watch(
    _ script: String, step: StepName = .wholeJob(17), pause: Int = 2000
  ) throws -> JobWatch {
    try scratch.write("#!/bin/sh\n\(script)\n", to: "jobs", mode: 0o700)
    let watch = JobWatch(
      loop, program: scratch.path + "/jobs", step: step, tunnels: "/t", pause: pause
    ) { [news] in news.all.append($0) }
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
    let watch = try watch("echo over $# $1 $2 $3", step: step)
    #expect(try turn(watch) { !news.all.isEmpty })
    #expect(news.all == [.over("4 watch \(word) /t")])
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

  @Test func aLineThatHasNoRoomInAPipeIsHeardWhole() throws {
    let watch = try watch(
      "echo \"running $(yes n123456789 | head -n 20000 | paste -sd, -)\"; exec sleep 60")
    #expect(try turn(watch) { !news.all.isEmpty })
    guard case .running(let nodes)? = news.all.first else { return #expect(news.all == []) }
    #expect(nodes.count == 20000)
    watch.stop()
  }

  private static let missing = "spunnel-jobs: error while loading shared libraries: libslurm.so.99"

  @Test func oneThatCannotRunHereIsGivenUpAndSaysWhyOnce() throws {
    let watch = try watch(
      """
      echo x >>'\(scratch.path)/starts'; echo first >&2
      echo '\(JobWatchTests.missing)' >&2; exit 127
      """, pause: 10)
    let reason =
      "spunnel-jobs is built for another Slurm, and libslurm.so.99 is not on this host: "
      + "run make slurm && make install-slurm for the Slurm of this host"
    #expect(try turn(watch) { news.all == [.lost(reason), .untold(reason)] })
    #expect(try scratch.read("starts") == "x\nx\nx\n")
    // It is looked at again: somebody may have mended it.
    try scratch.write("#!/bin/sh\necho pending; exec sleep 60\n", to: "jobs", mode: 0o700)
    #expect(try turn(watch) { news.all.last == .pending })
    watch.stop()
  }

  @Test(arguments: [
    ("exit 1", "ended with status 1 and without a word"), ("echo why >&2; exit 1", "why"),
    ("kill -SEGV $$", "ended with status 139 and without a word"),
  ])
  func oneThatEndsWithoutAWordIsTriedLonger(script: String, reason: String) throws {
    let watch = try watch("echo x >>'\(scratch.path)/starts'; \(script)", pause: 1)
    #expect(try turn(watch) { if case .untold? = news.all.last { true } else { false } })
    guard case .untold(let told)? = news.all.last else { return }
    #expect(told.hasSuffix(reason))
    #expect(news.all.count == 2)
    #expect(try scratch.read("starts").utf8.count == 2 * 15)
    watch.stop()
  }

  @Test(arguments: ["kill -KILL $$", "kill -TERM $$"])
  func oneThatIsKilledIsAlwaysStartedAgain(script: String) throws {
    let watch = try watch("echo x >>'\(scratch.path)/starts'; \(script)", pause: 1)
    #expect(try turn(watch) { (try? scratch.read("starts").utf8.count) ?? 0 > 2 * 20 })
    #expect(news.all == [])
    watch.stop()
  }

  @Test func oneThatHasToldSomethingOnceIsNotGivenUp() throws {
    let watch = try watch(
      """
      echo x >>'\(scratch.path)/starts'
      [ -e '\(scratch.path)/told' ] || { : >'\(scratch.path)/told'; echo pending; exit 1; }
      echo why >&2; exit 127
      """, pause: 1)
    #expect(try turn(watch) { (try? scratch.read("starts").utf8.count) ?? 0 > 2 * 20 })
    #expect(news.all == [.pending, .lost("why")])
    watch.stop()
  }

  @Test func onceTheJobIsOverItIsNotStartedAgain() throws {
    let watch = try watch("echo x >>'\(scratch.path)/starts'; echo over COMPLETED", pause: 1)
    #expect(try turn(watch) { !news.all.isEmpty })
    let end = Clock.milliseconds() + 50
    #expect(try turn(watch) { Clock.milliseconds() > end })
    #expect(news.all == [.over("COMPLETED")])
    #expect(try scratch.read("starts") == "x\n")
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
    let watch = JobWatch(
      loop, program: scratch.path + "/none", step: .wholeJob(1), tunnels: "/t"
    ) { _ in }
    let error = #expect(throws: SystemError.self) { try watch.start() }
    #expect(error?.code == ENOENT)
  }
}

@Suite struct ForeignHelperTests {
  @Test(arguments: [
    ("x: libslurm.so.38: cannot open shared object file", "Slurm 22.05, and libslurm.so.38 is not"),
    ("libslurm.so.45: cannot open", "Slurm 26.05, and libslurm.so.45 is not"),
    ("libslurm.so.999: cannot open", "another Slurm, and libslurm.so.999 is not"),
    ("libslurm.so.99999999999999999999", "another Slurm, and libslurm.so. is not"),
    (
      "symbol lookup error: undefined symbol: x",
      "symbol lookup error: undefined symbol: x: run make"
    ),
  ])
  func namesTheSlurmThatItIsFor(complaint: String, words: String) {
    #expect(ForeignHelper.reason(complaint).contains(words))
    #expect(ForeignHelper.reason(complaint).contains("make slurm && make install-slurm"))
  }
}
