// Asks Slurm what each change of a job's wishes would gain, by one method for all of them.

import SpunnelSystem

/// What a change would gain.
package struct Gain: Equatable, Sendable {
  package let option: String
  /// When it could start then, in seconds since 1970.
  package let start: Int
  /// Seconds earlier than without the change; `nil` when it can never run without.
  package let seconds: Int?
}

package struct Gains: Equatable, Sendable {
  /// Fewer seconds are no gain worth a change.
  private static let leastGain = 60
  private static let mostGains = 3
  /// Questions to Slurm at the most.
  private static let mostChanges = 8

  /// When it could start as it is.
  package let asItIs: StartTest
  /// The greatest first.
  package let gains: [Gain]

  /// - Parameters:
  ///   - wishes: the job's
  ///   - changes: what may be changed
  ///   - test: asks for the words of sbatch
  package init(
    _ wishes: JobWishes, _ changes: [JobWishes.Change],
    test: ([String]) throws(SystemError) -> StartTest
  ) throws(SystemError) {
    asItIs = try test(wishes.words)
    var found: [Gain] = []
    for change in changes.prefix(Gains.mostChanges) {
      guard case .starts(let start, _) = try test(change.wishes.words) else { continue }
      switch asItIs {
      case .never: found.append(Gain(option: change.option, start: start, seconds: nil))
      case .starts(let now, _):
        if now - start >= Gains.leastGain {
          found.append(Gain(option: change.option, start: start, seconds: now - start))
        }
      }
    }
    gains = Array(found.sorted { $0.start < $1.start }.prefix(Gains.mostGains))
  }
}

/// What a job has used of what it had.
package struct Efficiency: Equatable, Sendable {
  package let elapsed: Int
  package let cpus: Int
  package let cpuMilliseconds: Int
  package let peakKiB: Int
  /// What it had on a node; `nil`: no bound is known.
  package let memoryKiB: Int?

  /// In parts of a hundred.
  package var cpuShare: Int? {
    elapsed > 0 && cpus > 0 ? cpuMilliseconds / (elapsed * cpus * 10) : nil
  }

  package var memoryShare: Int? { memoryKiB.flatMap { $0 > 0 ? peakKiB * 100 / $0 : nil } }

  package init(elapsed: Int, cpus: Int, cpuMilliseconds: Int, peakKiB: Int, memoryKiB: Int?) {
    (self.elapsed, self.cpus, self.cpuMilliseconds) = (elapsed, cpus, cpuMilliseconds)
    (self.peakKiB, self.memoryKiB) = (peakKiB, memoryKiB)
  }
}
