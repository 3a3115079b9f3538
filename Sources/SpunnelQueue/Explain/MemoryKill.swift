// What slurmstepd wrote into a job's output when it killed the job for its memory.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// `slurmstepd: error: StepId=7.batch exceeded memory limit (209715200 > 52428800), being killed`.
package struct MemoryKill: Equatable, Sendable {
  /// Bytes.
  package let peak: Int
  package let limit: Int

  /// How much of the output's end is looked at.
  private static let tail = 1 << 16
  private static let mark = "exceeded memory limit ("

  /// Looks at the end of the job's errors; `nil`: nothing of the kind is there.
  package init?(_ job: JobInfo) {
    let path = job.errorsPath ?? job.outputPath
    guard let file = try? FileDescriptor.open(path, O_RDONLY | O_NONBLOCK),
      let size = try? file.size()
    else { return nil }
    if size > MemoryKill.tail {
      _ = lseek(file.raw, off_t(size - MemoryKill.tail), SEEK_SET)
    }
    guard let bytes = try? file.content(expecting: 0, atMost: MemoryKill.tail) else { return nil }
    self.init(output: String(decoding: bytes, as: UTF8.self))
  }

  package init?(output: String) {
    let lines = output.split(whereSeparator: \.isNewline)
    guard let line = lines.last(where: { $0.mentions(MemoryKill.mark) }) else { return nil }
    // slurmstepd writes no other parenthesis before these numbers.
    let numbers = line.drop { $0 != "(" }.dropFirst().prefix { $0 != ")" }.split(separator: " ")
    guard numbers.count == 3, numbers[1] == ">", let peak = wholeNumber(numbers[0]),
      let limit = wholeNumber(numbers[2])
    else { return nil }
    (self.peak, self.limit) = (peak, limit)
  }
}
