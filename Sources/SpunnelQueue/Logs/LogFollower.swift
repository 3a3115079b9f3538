// Passes on the output of a job from before its start to its end, across requeues.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// Follows the output of one job.
package struct LogFollower {
  /// Milliseconds between two reads of the file.
  private static let glance = 100
  /// Milliseconds for which the file may still grow after the job's end, since another host writes
  /// it.
  private static let afterglow = 500
  private static let piece = 1 << 16

  private let board: JobBoard
  private let reference: JobReference
  private let write: ([UInt8]) -> Bool

  /// - Parameters:
  ///   - board: looks the job up
  ///   - reference: the job
  ///   - write: takes what was read; returns false when the reader is gone
  package init(
    _ board: JobBoard, _ reference: JobReference, write: @escaping ([UInt8]) -> Bool
  ) {
    self.board = board
    self.reference = reference
    self.write = write
  }

  /// Follows a job to its end.
  ///
  /// - Parameters:
  ///   - job: the job as Slurm last described it
  ///   - tell: is called with each event, one line
  /// - Returns: how the job ended; `nil` when the reader is gone
  package func follow(_ job: JobInfo, tell: (String) -> Void) -> JobStatus? {
    var job = job
    var file = FollowedFile(job.outputPath)
    var nextLook = Clock.milliseconds() + JobBoard.pause
    var hasToldWaiting = false
    var lost = false
    while true {
      if job.phase == .pending, !hasToldWaiting {
        hasToldWaiting = true
        tell("job \(reference) waits" + (job.reason.isEmpty ? "" : ": \(job.reason)"))
      }
      if !drain(&file, tell) { return nil }
      if job.phase == .over { return finish(job, &file, tell) }
      usleep(UInt32(LogFollower.glance) * 1000)
      if Clock.milliseconds() < nextLook, board.run(job.label)?.ended == nil { continue }
      do throws(SlurmError) {
        let found = reference.find(in: try board.poll([reference.job]))
        lost = false
        guard let now = found.first else { return finish(nil, &file, tell) }
        if now.restarts > job.restarts { tell("job \(reference) was requeued") }
        if now.phase == .pending, job.phase == .running { hasToldWaiting = false }
        job = now
        file.move(to: job.outputPath)
      } catch {
        if !lost { tell(error.description) }
        lost = true
      }
      nextLook = Clock.milliseconds() + JobBoard.pause
    }
  }

  private func finish(
    _ job: JobInfo?, _ file: inout FollowedFile, _ tell: (String) -> Void
  ) -> JobStatus? {
    let deadline = Clock.milliseconds() + LogFollower.afterglow
    repeat {
      if !drain(&file, tell) { return nil }
      usleep(50_000)
    } while Clock.milliseconds() < deadline && job?.isCompleting ?? false
    if !drain(&file, tell) { return nil }
    guard let job else { return board.recall(reference) }
    board.note(job)
    return JobStatus(job)
  }

  private func drain(_ file: inout FollowedFile, _ tell: (String) -> Void) -> Bool {
    while let bytes = file.more(atMost: LogFollower.piece, tell) {
      if !write(bytes) { return false }
    }
    return true
  }
}

/// A file that grows, or that is truncated and written again.
struct FollowedFile {
  private(set) var path: String
  private var offset = 0

  init(_ path: String) { self.path = path }

  mutating func move(to path: String) {
    if path != self.path { (self.path, offset) = (path, 0) }
  }

  /// - Returns: the bytes since the last call; `nil` when there are none
  mutating func more(atMost limit: Int, _ tell: (String) -> Void) -> [UInt8]? {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
      let size = try file.size()
      if size < offset {
        tell("'\(path)' begins anew")
        offset = 0
      }
      if size == offset { return nil }
      try check("lseek") { lseek(file.raw, off_t(offset), SEEK_SET) }
      guard let bytes = try file.read(atMost: limit), !bytes.isEmpty else { return nil }
      offset += bytes.count
      return bytes
    } catch { return nil }
  }
}
