// A spunnel-jobs that was built for another Slurm than the Slurm of this host.

import SpunnelSystem

/// Names the Slurm that a program was built for, where the loader cannot start the program.
public enum ForeignHelper {
  /// The exit status of a program for which the loader finds no library or no symbol (ld.so(8)).
  static let status = 127

  /// The releases by the number of their libslurm.so (Slurm's META, `API_CURRENT`).
  private static let releases: [Int: String] = [
    36: "20.11", 37: "21.08", 38: "22.05", 39: "23.02", 40: "23.11", 41: "24.05", 42: "24.11",
    43: "25.05", 44: "25.11", 45: "26.05",
  ]

  /// Explains the loader's complaint.
  ///
  /// - Parameter complaint: the loader's line, as in `libslurm.so.38: cannot open shared object file`
  /// - Returns: one line that says what to type next
  public static func reason(_ complaint: String) -> String {
    let advice = "run make slurm && make install-slurm for the Slurm of this host"
    let library = "libslurm.so."
    guard let place = complaint.indices.first(where: { complaint[$0...].hasPrefix(library) })
    else { return "\(complaint): \(advice)" }
    let number = wholeNumber(
      complaint[place...].dropFirst(library.count).prefix { "0"..."9" ~= $0 })
    let release = number.flatMap { releases[$0] }.map { "Slurm \($0)" } ?? "another Slurm"
    let name = library + (number.map(String.init) ?? "")
    return "spunnel-jobs is built for \(release), and \(name) is not on this host: \(advice)"
  }

  /// Finds out whether spunnel-jobs runs on this host.
  ///
  /// - Returns: why it does not; `nil` where it runs, or where something else is wrong with it
  public static func problem(_ installation: Installation) -> String? {
    do throws(SystemError) {
      let program = Program(installation.jobs, ["version"], environment: Process.environment())
      let result = try program.capture(milliseconds: 10_000)
      return result.status == status ? reason(printable(result.lastLine)) : nil
    } catch { return nil }
  }
}
