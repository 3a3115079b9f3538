// Asks Slurm how much earlier a job would start after each possible change, with one method for all
// changes.

import SpunnelSystem

/// The effect of one change.
package struct Gain: Equatable, Sendable {
  /// The change as an option: `--time=30`.
  package let option: String
  /// When the changed job could start, in seconds since 1970.
  package let start: Int
  /// How many seconds earlier the changed job starts; `nil` when the unchanged job can never start.
  package let seconds: Int?
}

/// The best changes of a job.
package struct Gains: Equatable, Sendable {
  /// A smaller gain, in seconds, is not worth a change.
  private static let leastGain = 60
  private static let mostGains = 3
  /// Slurm tells a year from now of a job whose nodes nobody knows when to be free.
  private static func farAway(_ now: Int) -> Int { now + 300 * 86400 }
  /// The most questions to Slurm.
  private static let mostChanges = 8

  /// When the unchanged job could start.
  package let asItIs: StartTest
  /// The changes, the earliest start first.
  package let gains: [Gain]

  /// Tests changes one by one.
  ///
  /// - Parameters:
  ///   - wishes: what the job asks for
  ///   - changes: the changes to test
  ///   - impossible: why Slurm never starts it as it is, where Slurm said so itself
  ///   - test: asks sbatch, with the words of the changed job
  package init(
    _ wishes: JobWishes, _ changes: [JobWishes.Change], impossible: String? = nil,
    test: ([String]) throws(SystemError) -> StartTest
  ) throws(SystemError) {
    let now = Clock.wallMilliseconds() / 1000
    if let impossible { asItIs = .never(impossible) } else { asItIs = try test(wishes.words) }
    var found: [Gain] = []
    for change in changes.prefix(Gains.mostChanges) {
      guard case .starts(let start, _) = try test(change.wishes.words) else { continue }
      switch asItIs {
      case .never where start < Gains.farAway(now):
        found.append(Gain(option: change.option, start: start, seconds: nil))
      case .never: break
      case .starts(let unchanged, _):
        if unchanged - start >= Gains.leastGain {
          found.append(Gain(option: change.option, start: start, seconds: unchanged - start))
        }
      }
    }
    gains = Array(found.sorted { $0.start < $1.start }.prefix(Gains.mostGains))
  }
}

/// How much a job used of what it had.
package struct Efficiency: Equatable, Sendable {
  /// The run time in seconds.
  package let elapsed: Int
  package let cpus: Int
  package let cpuMilliseconds: Int
  package let peakKiB: Int
  /// The memory that the job had on a node; `nil` when no limit is known.
  package let memoryKiB: Int?

  /// The used share of processor time, in percent.
  package var cpuShare: Int? {
    elapsed > 0 && cpus > 0 ? cpuMilliseconds / (elapsed * cpus * 10) : nil
  }

  /// The used share of memory, in percent.
  package var memoryShare: Int? { memoryKiB.flatMap { $0 > 0 ? peakKiB * 100 / $0 : nil } }

  package init(elapsed: Int, cpus: Int, cpuMilliseconds: Int, peakKiB: Int, memoryKiB: Int?) {
    (self.elapsed, self.cpus, self.cpuMilliseconds) = (elapsed, cpus, cpuMilliseconds)
    (self.peakKiB, self.memoryKiB) = (peakKiB, memoryKiB)
  }
}
