// The ports of the submit host that compute nodes may connect to (slurm.conf(5), `SrunPortRange`).

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// A range of ports, both ends included.
package struct SrunPorts: Equatable, Sendable {
  let range: ClosedRange<UInt16>

  /// - Parameter text: a range as in `60001-63000`
  package init?(_ text: String) {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2, let lower = Port(String(ends[0])), let upper = Port(String(ends[1])),
      lower.number <= upper.number
    else { return nil }
    range = UInt16(lower.number)...UInt16(upper.number)
  }

  /// The site's range; `nil` when the site sets none, or no slurm.conf is readable.
  package static func site() -> SrunPorts? {
    UsualConfiguration.path.flatMap { SlurmConfigurationFile($0).srunPortRange }
      .flatMap { SrunPorts($0) }
  }

  /// The advice when too few ports are free.
  package static let advice =
    "SrunPortRange of slurm.conf is used up: end some of your srun on this host, or ask your "
    + "administrator for a wider range"

  package var description: String { "\(range.lowerBound)-\(range.upperBound)" }

  /// How many ports are free.
  ///
  /// - Parameter limit: the count at which to stop
  package func free(atMost limit: Int) -> Int {
    var count = 0
    for port in range where count < limit {
      if (try? Socket.listenEverywhere(port: port)) != nil { count += 1 }
    }
    return count
  }

  /// Listens on a free port of the range, on all addresses. The search starts at a random port,
  /// because other programs start at the first.
  ///
  /// - Throws: `EADDRINUSE` when no port is free
  package func listen() throws(SystemError) -> FileDescriptor {
    let start = UInt16.random(in: range)
    var failure = SystemError("bind one of SrunPortRange=\(description)", EADDRINUSE)
    for port in [Array(start...range.upperBound), Array(range.lowerBound..<start)].joined() {
      do throws(SystemError) { return try Socket.listenEverywhere(port: port) } catch {
        if error.code != EADDRINUSE && error.code != EACCES { failure = error }
      }
    }
    throw failure
  }
}
